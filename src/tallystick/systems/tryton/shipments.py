"""Shipments in Tryton: the sale's waiting shipment is cut to what left, named with our reference, and done; the rest stays open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.documents.shipment import Shipment
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import ShipmentCommand, ShipmentRecorded
from tallystick.systems.tryton.rpc import TrytonRpc

_STEPS = (("draft", "wait"), ("waiting", "assign_force"), ("assigned", "pick"), ("picked", "pack"), ("packed", "do"))
_FIELDS = ("reference", "number", "state", "outgoing_moves", "sales")


class TrytonShipments:
    """Records dispatches."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def record(self, commands: Sequence[ShipmentCommand]) -> list[ShipmentRecorded | Failure]:
        """Two shipments of one sale are taken in turn, since the second ships from what the first leaves open."""
        results: dict[int, ShipmentRecorded | Failure] = {}
        waiting = list(enumerate(commands))
        while waiting:
            turn: dict[str, tuple[int, ShipmentCommand]] = {}
            for at, command in waiting:
                turn.setdefault(command.order_reference, (at, command))
            chosen = [at for at, _ in turn.values()]
            answers = await self._record_once([command for _, command in turn.values()])
            results.update(zip(chosen, answers, strict=True))
            waiting = [each for each in waiting if each[0] not in results]
        return [results[at] for at in range(len(commands))]

    async def _record_once(self, commands: Sequence[ShipmentCommand]) -> list[ShipmentRecorded | Failure]:
        known = await self.find([command.reference for command in commands])
        failures: dict[str, Failure] = {}
        missing = [command for command in commands if command.reference not in known]
        if missing:
            failures.update(await self._cut(missing))
        failures.update(await self._advance([each.reference for each in commands if each.reference not in failures]))
        found = await self.find([command.reference for command in commands])
        return [
            failures.get(command.reference)
            or ShipmentRecorded(
                command.reference, found[command.reference]["number"], _done(known.get(command.reference))
            )
            for command in commands
        ]

    async def find(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Shipments by our reference."""
        rows = await self._rpc.search(
            "stock.shipment.out",
            [("reference", "in", list(references))],
            ["reference", "number", "state", "outgoing_moves"],
        )
        return {row["reference"]: row for row in rows}

    async def _cut(self, commands: Sequence[ShipmentCommand]) -> dict[str, Failure]:
        """Give each command its sale's open shipment, cut to the lines and quantities that left, in one write for all."""
        open_shipments = await self._open_shipments([command.order_reference for command in commands])
        moves = await self._moves([each["id"] for each in open_shipments.values()])
        failures: dict[str, Failure] = {}
        writes: dict[str, tuple[int, str, dict[str, Any]]] = {}
        for command in commands:
            shipment = open_shipments.get(command.order_reference)
            try:
                if shipment is None:
                    raise self._rejected("nothing_open", f"sale {command.erp_reference} has nothing open to ship")
                values = self._cut_values(command, moves.get(shipment["id"], []))
                writes[command.reference] = (shipment["id"], shipment["state"], values)
            except Rejected as failure:
                failures[command.reference] = failure

        async def write(references: Sequence[str]) -> None:
            cut = [writes[reference] for reference in references if "outgoing_moves" in writes[reference][2]]
            back = [shipment for shipment, state, _ in cut if state != "draft"]
            if back:
                await self._rpc.write("stock.shipment.out.draft", back)
            arguments: list[Any] = []
            for reference in references:
                shipment, _, values = writes[reference]
                arguments += [[shipment], values]
            await self._rpc.write("stock.shipment.out.write", *arguments)

        failures.update(await self._rpc.isolate(list(writes), write))
        return failures

    async def _open_shipments(self, order_references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The one shipment of each sale that is still to be sent and that no earlier call has taken."""
        sales = await self._rpc.search(
            "sale.sale",
            [("reference", "in", list(order_references)), ("state", "!=", "cancelled")],
            ["reference", "shipments"],
        )
        ids = [shipment for sale in sales for shipment in sale["shipments"]]
        rows = await self._rpc.search(
            "stock.shipment.out",
            [
                ("id", "in", ids),
                ("state", "in", ["draft", "waiting", "assigned"]),
                ["OR", ("reference", "=", None), ("reference", "=", "")],
            ],
            ["state"],
            order=[("id", "ASC")],
        )
        by_id = {row["id"]: row for row in rows}
        found: dict[str, dict[str, Any]] = {}
        for sale in sales:
            for shipment in sale["shipments"]:
                if shipment in by_id:
                    found.setdefault(sale["reference"], by_id[shipment])
        return found

    async def _moves(self, shipments: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """The outgoing moves of shipments, each with the order line number that its sale line carries as sequence."""
        rows = await self._rpc.search("stock.shipment.out", [("id", "in", list(shipments))], ["outgoing_moves"])
        ids = [move for row in rows for move in row["outgoing_moves"]]
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
        return {row["id"]: [by_id[move] for move in row["outgoing_moves"]] for row in rows}

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
            values["outgoing_moves"] = changes
        return values

    async def _advance(self, references: Sequence[str]) -> dict[str, Failure]:
        """Press each button once for all shipments that stand before it; resumes where an earlier try ended."""
        failures: dict[str, Failure] = {}
        shipments = await self.find(references)
        states = {reference: shipment["state"] for reference, shipment in shipments.items()}
        following = ["draft", "waiting", "assigned", "picked", "packed", "done"]
        for state, button in _STEPS:
            ready = [reference for reference, at in states.items() if at == state and reference not in failures]

            async def press(chosen: Sequence[str], button: str = button) -> None:
                await self._rpc.write(
                    f"stock.shipment.out.{button}", [shipments[reference]["id"] for reference in chosen]
                )

            failures.update(await self._rpc.isolate(ready, press))
            states.update({reference: following[following.index(state) + 1] for reference in ready})
        return failures

    def _rejected(self, code: str, message: str) -> Rejected:
        return Rejected(f"{self._rpc.name}: {message}", system=self._rpc.name, code=f"{self._rpc.name}.{code}")


def _done(shipment: Mapping[str, Any] | None) -> bool:
    return shipment is not None and shipment["state"] == "done"
