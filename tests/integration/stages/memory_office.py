"""The flow of one installation with everybody outside in memory, a worker that works when it is told to, and what must hold."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.integration.stages.memory_outside import Book, Ledger, Neighbour
from tests.integration.stages.modelled_transaction import MAXIMUM_ATTEMPTS

from tallystick.checks.refresh import refresh_replicas
from tallystick.documents.event import Event
from tallystick.documents.order import Order
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.mailbox.answers import answers_of
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.settlement import Settlement
from tallystick.settings import parse_settings
from tallystick.stages.dead_letters import discard_dead, replay_dead
from tallystick.stages.flow import Flow
from tallystick.stages.intake import Intake, Submission, submit_orders
from tallystick.stages.reception import receive_events
from tallystick.stages.worker import STAGES
from tallystick.store.pool import JsonText, Pool

LEASE = timedelta(seconds=60)
TABLES = """
    truncate transactions, documents, cross_references, lineage, messages, message_attempts, message_log, inbox, exceptions,
             exception_notes, audit_entries, promises, promised_stock, promised_credit cascade
"""

BY_DOCUMENTS = """
    select t.id, t.shipped_amount, t.invoiced_amount, t.credited_amount, t.paid_amount,
           (select 1000 * sum((line ->> 'quantity')::numeric)::int from documents d, jsonb_array_elements(d.body -> 'lines') line
            where d.transaction_id = t.id and d.type = 'shipment') as documents_shipped_amount,
           (select sum((d.body ->> 'total_amount')::int) from documents d
            where d.transaction_id = t.id and d.type = 'invoice') as documents_invoiced_amount,
           (select sum((d.body ->> 'total_amount')::int) from documents d
            where d.transaction_id = t.id and d.type = 'credit_memo') as documents_credited_amount,
           (select sum((d.body ->> 'amount')::int) from documents d
            where d.transaction_id = t.id and d.type = 'payment') as documents_paid_amount
    from transactions t
"""
PROMISES_THAT_DO_NOT_ADD_UP = """
    select 'credit' as what, customer_id as key, coalesce(c.amount, 0) as kept, coalesce(p.amount, 0) as open
    from promised_credit c
    full join (select system, customer_id, sum(amount) as amount from promises group by 1, 2) p using (system, customer_id)
    where coalesce(c.amount, 0) <> coalesce(p.amount, 0)
    union all
    select 'stock', product_id, coalesce(s.quantity, 0), coalesce(p.quantity, 0)
    from promised_stock s
    full join (select system, asked ->> 0 as product_id, asked ->> 1 as warehouse, sum((asked ->> 2)::numeric) as quantity
               from promises, jsonb_array_elements(stock) as asked group by 1, 2, 3) p using (system, product_id, warehouse)
    where coalesce(s.quantity, 0) <> coalesce(p.quantity, 0)
"""
DEAD_WITHOUT_EXCEPTION = """
    select m.id, m.kind, m.last_failure from messages m
    where m.state = 'dead' and not exists (select from exceptions e where e.message_id = m.id and e.state = 'open')
"""


class Office:
    """The flow with everybody outside in memory, and a worker that works when it is told to."""

    def __init__(self, pool: Pool) -> None:
        roles = {"erp": "sandbox_erp", "wms": "sandbox_wms", "payments": "sandbox_payments", "crm": "sandbox_crm"}
        self.settings = parse_settings(
            {
                "worker": {"maximum_attempts": MAXIMUM_ATTEMPTS, "backoff_seconds": 0.001},
                "systems": {name: {"kind": kind} for name, kind in roles.items()},
                "entities": {
                    "default": {**{name: name for name in roles}, "policy": {"overtaken_shipment_seconds": 0}}
                },
            }
        )
        self.pool = pool
        self.book = Book()
        self.erp = Ledger(book=self.book)
        neighbours = {name: Neighbour(name, self.book) for name in ("wms", "payments", "crm")}
        self.flow = Flow(pool, self.settings, {"erp": self.erp, **neighbours})
        self.intake = Intake(self.flow)
        self.stages = {stage.stage: stage for stage in (make(self.flow) for make in STAGES)}
        self.settlement = Settlement(pool, self.flow.carrier, self.settings.worker, "model", lambda _: True)

    async def open(self) -> None:
        """A customer and a product without limits, known to the replica."""
        await self.pool.execute(f"{TABLES}; truncate replica_feeds, replica_customers, replica_credit, replica_stock")
        self.erp.put(
            Customer(id="C1", name="One"),
            CreditPosition(customer_id="C1", currency="USD", limit=10**12),
            Product(id="P1", name="One"),
            Price(product_id="P1", currency="USD", unit_price=Decimal("10.00")),
            StockLevel(product_id="P1", warehouse="MAIN", available=Decimal(10**9)),
        )
        await refresh_replicas(self.pool, "erp", self.erp)

    async def work(self) -> None:
        """Deliver what is there, what follows from it and what is to be tried later, until nothing moves."""
        while True:
            await self.pool.execute("update messages set available_at = now() where available_at > now()")
            rows = await self.pool.fetch(
                "select distinct stage, system from messages where state = 'ready' order by 1, 2"
            )
            if not rows:
                return
            for row in rows:
                await self._work(Route(row["stage"], row["system"]))

    async def _work(self, route: Route) -> None:
        async with self.pool.acquire() as connection:
            deliveries = await self.flow.carrier.claim(connection, route, limit=100, worker="model", lease=LEASE)
        if deliveries:
            stage = self.stages[route.stage]
            answers = await answers_of(stage, route, deliveries, LEASE.total_seconds())
            await self.settlement.settle(stage, route, list(zip(deliveries, answers, strict=True)), 1.0)

    async def submit(self, placed: Order) -> tuple[UUID, str]:
        """The transaction's id, and the decision."""
        body = JsonText(placed.model_dump_json(exclude_none=True).encode())
        [answer] = await submit_orders(self.intake, [Submission(placed, body, "sales", b"")])
        assert answer.transaction_id is not None
        return answer.transaction_id, answer.body["decision"]

    async def tell(self, system: str, event: dict[str, Any]) -> str:
        """What an event was answered with."""
        [answer] = await receive_events(self.flow, system, [Event.model_validate(event)])
        return answer.code

    async def exception(self, transaction_id: UUID, kind: str, message: str | None = None) -> UUID:
        """The open exception of this type, about this kind of message."""
        query = """
            select id from exceptions where transaction_id = $1 and type = $2 and state = 'open'
                and ($3::text is null or context ->> 'kind' = $3)
        """
        found: UUID = await self.pool.fetchval(query, transaction_id, kind, message)
        return found

    async def version(self, transaction_id: UUID) -> int:
        found: int = await self.pool.fetchval("select version from transactions where id = $1", transaction_id)
        return found

    async def replay(self, exception_id: UUID) -> None:
        """The exception's dead letter, as the route of messages does."""
        async with self.pool.acquire() as connection, connection.transaction():
            message = await connection.fetchval("select message_id from exceptions where id = $1", exception_id)
            assert await replay_dead(self.flow, connection, [message], by="clerk") == [message]

    async def discard(self, exception_id: UUID) -> None:
        """The exception's dead letter is given up."""
        async with self.pool.acquire() as connection, connection.transaction():
            message = await connection.fetchval("select message_id from exceptions where id = $1", exception_id)
            assert await discard_dead(self.flow, connection, [message], by="clerk", reason="by hand") == [message]
