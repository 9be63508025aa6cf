"""Shipments in Tryton: the sale's open shipment is cut to what left, named with our reference and done; the rest stays open.

Of several callers with one reference only one may cut: each reads the open shipment before it looks for the reference, and
writes only if nobody has written that shipment since (Tryton's own `_timestamp`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.documents.shipment import Shipment
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import ShipmentCommand, ShipmentRecorded
from tallystick.systems.tryton.buttons import press
from tallystick.systems.tryton.processing import process_again
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.sales import TrytonSales
from tallystick.systems.tryton.turns import in_turns

_STEPS = (
    ("draft", "wait", "waiting"),
    ("waiting", "assign_force", "assigned"),
    ("assigned", "pick", "picked"),
    ("picked", "pack", "packed"),
    ("packed", "do", "done"),
)
_MODEL = "stock.shipment.out"
_MOVES = "outgoing_moves"
_UNTAKEN = ["OR", ("reference", "=", None), ("reference", "=", "")]


class TrytonShipments:
    """Records dispatches."""

    def __init__(self, rpc: TrytonRpc, sales: TrytonSales) -> None:
        self._rpc = rpc
        self._sales = sales

    async def record(self, commands: Sequence[ShipmentCommand]) -> list[ShipmentRecorded | Failure]:
        """Record each once; a second shipment of a sale ships from what the first leaves open."""
        return await in_turns(commands, lambda command: [command.order_reference], self._record_once)

    async def _record_once(self, commands: Sequence[ShipmentCommand]) -> list[ShipmentRecorded | Failure]:
        references = [command.reference for command in commands]
        open_shipments = await self._open_shipments([command.order_reference for command in commands])
        known = await self.find(references)
        new = [each for each in commands if each.reference not in known]
        missing = [each.order_reference for each in new if each.order_reference not in open_shipments]
        if missing:
            await process_again(self._rpc, [int(sale["id"]) for sale in (await self._sales.find(missing)).values()])
            open_shipments |= await self._open_shipments(missing)
        failures = await self._cut(new, open_shipments)
        failures.update(await self._advance([each for each in references if each not in failures]))
        found = await self.find(references)
        done = [each for each in commands if each.reference not in failures and _done(found.get(each.reference))]
        await self._close([each.order_reference for each in done if each.shipment is not None and each.shipment.final])
        return [
            failures.get(each.reference) or self._recorded(each, found.get(each.reference), known.get(each.reference))
            for each in commands
        ]

    def _recorded(
        self, command: ShipmentCommand, found: Mapping[str, Any] | None, known: Mapping[str, Any] | None
    ) -> ShipmentRecorded | Failure:
        if found is None or not _done(found):
            name = self._rpc.name
            message = f"{name}: shipment {command.reference} is not done yet; it is tried again"
            return Transient(message, system=name, code=f"{name}.not_done")
        return ShipmentRecorded(command.reference, found["number"], _done(known))

    async def find(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Shipments by our reference."""
        rows = await self._rpc.search(
            _MODEL,
            [("reference", "in", list(references))],
            ["reference", "number", "state"],
        )
        return {row["reference"]: row for row in rows}

    async def _cut(
        self, commands: Sequence[ShipmentCommand], open_shipments: Mapping[str, dict[str, Any]]
    ) -> dict[str, Failure]:
        """Give each command its sale's open shipment, cut to the lines and quantities that left, in one write for all."""
        moves = await self._moves(list(open_shipments.values())) if commands else {}
        failures: dict[str, Failure] = {}
        taken: dict[str, dict[str, Any]] = {}
        values: dict[str, dict[str, Any]] = {}
        for command in commands:
            shipment = open_shipments.get(command.order_reference)
            try:
                if shipment is None:
                    raise self._rejected("nothing_open", f"sale {command.erp_reference} has nothing open to ship")
                values[command.reference] = self._cut_values(command, moves.get(shipment["id"], []))
                taken[command.reference] = shipment
            except Rejected as failure:
                failures[command.reference] = failure
        failures.update(await self._draft({each: taken[each] for each in taken if _MOVES in values[each]}, taken))

        async def write(references: Sequence[str]) -> None:
            arguments: list[Any] = []
            for reference in references:
                arguments += [[taken[reference]["id"]], values[reference]]
            unchanged = {f"{_MODEL},{taken[each]['id']}": taken[each]["_timestamp"] for each in references}
            await self._rpc.write(f"{_MODEL}.write", *arguments, context={"_timestamp": unchanged})

        failures.update(await self._rpc.isolate([each for each in taken if each not in failures], write))
        return failures

    async def _draft(self, cut: Mapping[str, dict[str, Any]], taken: dict[str, dict[str, Any]]) -> dict[str, Failure]:
        """Tryton cuts drafts only, and makes waiting shipments: set those that are cut back, and take them as they are now."""
        waiting = {reference: row["id"] for reference, row in cut.items() if row["state"] != "draft"}
        if not waiting:
            return {}
        failures = await press(self._rpc, _MODEL, "draft", waiting, ("waiting", "assigned"))
        rows = await self._rpc.search(
            _MODEL,
            [("id", "in", list(waiting.values())), ("state", "=", "draft"), _UNTAKEN],
            ["state", "_timestamp"],
        )
        by_id = {row["id"]: row for row in rows}
        for reference, shipment in waiting.items():
            if shipment in by_id:
                taken[reference] = by_id[shipment]
            else:
                failures.setdefault(reference, self._overtaken(reference))
        return failures

    def _overtaken(self, reference: str) -> Transient:
        name = self._rpc.name
        message = f"{name}: somebody else is recording shipment {reference}; it is tried again"
        return Transient(message, system=name, code=f"{name}.conflict")

    async def _open_shipments(self, order_references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The one shipment of each sale that is still to be sent and that no earlier call has taken."""
        sales = await self._sales.find(order_references)
        ids = [shipment for sale in sales.values() for shipment in sale["shipments"]]
        rows = await self._rpc.search(
            _MODEL,
            [
                ("id", "in", ids),
                ("state", "in", ["draft", "waiting", "assigned"]),
                _UNTAKEN,
            ],
            ["state", "_timestamp", _MOVES],
            order=[("id", "ASC")],
        )
        by_id = {row["id"]: row for row in rows}
        found: dict[str, dict[str, Any]] = {}
        for reference, sale in sales.items():
            for shipment in sale["shipments"]:
                if shipment in by_id:
                    found.setdefault(reference, by_id[shipment])
        return found

    async def _close(self, order_references: Sequence[str]) -> None:
        """Nothing more will ship: cancel what is still open of these sales and let Tryton ignore it."""
        if not order_references:
            return
        open_shipments = await self._open_shipments(order_references)
        if open_shipments:
            await self._rpc.write(f"{_MODEL}.cancel", [each["id"] for each in open_shipments.values()])
        sales = [sale["id"] for sale in (await self._sales.find(order_references)).values()]
        lines = await self._rpc.search(
            "sale.line",
            [("sale", "in", sales), ("type", "=", "line")],
            ["moves", "moves_ignored", "moves_recreated"],
        )
        moves = await self._rpc.search(
            "stock.move",
            [("id", "in", [move for line in lines for move in line["moves"]]), ("state", "=", "cancelled")],
            [],
        )
        cancelled = {move["id"] for move in moves}
        arguments: list[Any] = []
        for line in lines:
            ignored = cancelled & set(line["moves"]) - {*line["moves_ignored"], *line["moves_recreated"]}
            if ignored:
                arguments += [[line["id"]], {"moves_ignored": [["add", sorted(ignored)]]}]
        if arguments:
            await self._rpc.write("sale.line.write", *arguments)
        await self._rpc.write("sale.sale.process", sales)

    async def _moves(self, shipments: Sequence[Mapping[str, Any]]) -> dict[int, list[dict[str, Any]]]:
        """The outgoing moves of shipments, each with the order line number that its sale line carries as sequence."""
        ids = [move for row in shipments for move in row[_MOVES]]
        moves = await self._rpc.search("stock.move", [("id", "in", ids)], ["quantity", "origin", "product.code"])
        origins = [
            int(move["origin"].partition(",")[2]) for move in moves if (move["origin"] or "").startswith("sale.line,")
        ]
        lines = {
            row["id"]: row["sequence"]
            for row in await self._rpc.search("sale.line", [("id", "in", origins)], ["sequence"])
        }
        by_id = {
            move["id"]: {**move, "line_number": lines.get(int((move["origin"] or ",0").partition(",")[2]))}
            for move in moves
        }
        return {row["id"]: [by_id[move] for move in row[_MOVES]] for row in shipments}

    def _cut_values(self, command: ShipmentCommand, moves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What to write: our reference, and the moves cut or deleted where less left than was planned."""
        assert isinstance(command.shipment, Shipment)  # noqa: S101 - the port's contract for an ERP
        wanted = {line.line_number: line.quantity for line in command.shipment.lines}
        values: dict[str, Any] = {"reference": command.reference}
        changes: list[Any] = []
        for move in moves:
            planned, shipped = Decimal(str(move["quantity"])), wanted.pop(move["line_number"], Decimal(0))
            if shipped > planned:
                message = (
                    f"line {move['line_number']}: {shipped} shipped, {planned} open in the sale {command.erp_reference}"
                )
                raise self._rejected("over_shipped", message)
            if shipped == 0:
                changes.append(["delete", [move["id"]]])
            elif shipped < planned:
                changes.append(["write", [move["id"]], {"quantity": float(shipped)}])
        if wanted:
            raise self._rejected(
                "line_not_open", f"line {min(wanted)} has nothing open in the sale {command.erp_reference}"
            )
        if changes:
            values[_MOVES] = changes
        return values

    async def _advance(self, references: Sequence[str]) -> dict[str, Failure]:
        """Press each button once for all shipments that stand before it; resumes where an earlier try ended."""
        failures: dict[str, Failure] = {}
        shipments = await self.find(references)
        states = {reference: shipment["state"] for reference, shipment in shipments.items()}
        for state, button, reached in _STEPS:
            ready = {reference: shipments[reference]["id"] for reference, at in states.items() if at == state}
            refused = await press(self._rpc, _MODEL, button, ready, (state,))
            failures.update(refused)
            states.update({reference: reached for reference in ready if reference not in refused})
        return failures

    def _rejected(self, code: str, message: str) -> Rejected:
        return Rejected(f"{self._rpc.name}: {message}", system=self._rpc.name, code=f"{self._rpc.name}.{code}")


def _done(shipment: Mapping[str, Any] | None) -> bool:
    return shipment is not None and shipment["state"] == "done"
