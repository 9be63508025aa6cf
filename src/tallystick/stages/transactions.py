"""Reading a batch's transactions with their documents, and applying what stages changed, a statement for the whole batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

from tallystick.documents.invoice import Invoice
from tallystick.documents.order import Order
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import (
    CommitmentState,
    FulfilmentState,
    IntakeState,
    InvoicingState,
    ReturnsState,
    SettlementState,
    Transaction,
)
from tallystick.store.pool import Connection, JsonText

_COLUMNS = ", ".join(Transaction.model_fields)


@dataclass(frozen=True, slots=True)
class Dossier:
    """A transaction with the documents a stage needs: the order in force (or the named revision) and what followed it."""

    transaction: Transaction
    orders: dict[int, Order]
    shipments: tuple[Shipment, ...]
    invoices: tuple[Invoice, ...]
    returns: tuple[Return, ...]
    bodies: Mapping[tuple[str, str], Any]
    """Every document there is as JSON data by (type, number), to know one that comes again; of an order its last revision."""

    @property
    def order(self) -> Order:
        """The order in force."""
        return self.orders[self.transaction.order_revision]

    @property
    def order_with_tax(self) -> Order:
        """The order in force with the tax that it counts with: the tax service's where it has said one."""
        return self.order.model_copy(update={"tax_amount": self.transaction.tax_amount})

    @property
    def later_revisions(self) -> tuple[int, ...]:
        """Revisions that were asked for and are not in force, if they ever will be."""
        return tuple(revision for revision in self.orders if revision > self.transaction.order_revision)


@dataclass(frozen=True, slots=True)
class TransactionChange:
    """What one stage changes of a transaction: its own states, and amounts to add (minor units)."""

    id: UUID
    customer_id: str | None = None
    customer_po: str | None = None
    intake: IntakeState | None = None
    commitment: CommitmentState | None = None
    fulfilment: FulfilmentState | None = None
    returns: ReturnsState | None = None
    let_go: int | None = None
    """The revision that the warehouse has let go of: if it is still the one in force, nothing is requested any more."""
    erp_reference: str | None = None
    order_revision: int | None = None
    ordered_amount: int | None = None
    """New value, not an addition: an order that changed."""
    tax_amount: int | None = None
    shipped: int = 0
    invoiced: int = 0
    credited: int = 0
    paid: int = 0

    def and_then(self, other: TransactionChange) -> TransactionChange:
        """Both changes as one: amounts to add are added, of everything else the other's word holds if it has one."""
        told = {each.name: value for each in fields(self) if (value := getattr(other, each.name)) is not None}
        added = {name: getattr(self, name) + getattr(other, name) for name in _ADDED}
        return replace(self, **{**told, **added})


_ADDED = ("shipped", "invoiced", "credited", "paid")


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document to keep with its transaction. The same (transaction, type, number, revision) is kept once."""

    transaction_id: UUID
    type: str
    number: str
    system: str
    body: dict[str, Any] | JsonText
    revision: int = 1


@dataclass(frozen=True, slots=True)
class CrossReference:
    """Their id for one of our documents."""

    system: str
    kind: str
    reference: str
    entity: str
    transaction_id: UUID
    our_number: str


def transaction_from(row: Any) -> Transaction:
    """A Transaction from a row of the table; the table's own constraints vouch for it, so it is not validated again."""
    return Transaction.model_construct(
        **{
            **row,
            "intake": IntakeState(row["intake"]),
            "commitment": CommitmentState(row["commitment"]),
            "fulfilment": FulfilmentState(row["fulfilment"]),
            "invoicing": InvoicingState(row["invoicing"]),
            "settlement": SettlementState(row["settlement"]),
            "returns": ReturnsState(row["returns"]),
        }
    )


async def read_transactions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Transaction]:
    """Transactions by id; unknown ids are absent."""
    rows = await connection.fetch(f"select {_COLUMNS} from transactions where id = any($1::uuid[])", ids)
    return {row["id"]: transaction_from(row) for row in rows}


async def lock_transaction(connection: Connection, transaction_id: UUID) -> Transaction | None:
    """One transaction, locked until the caller's database transaction ends; None if unknown."""
    row = await connection.fetchrow(f"select {_COLUMNS} from transactions where id = $1 for update", transaction_id)
    return transaction_from(row) if row else None


async def lock_versions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Lock transactions until the caller's database transaction ends, in the order of their ids; their versions by id."""
    rows = await connection.fetch(
        "select id, version from transactions where id = any($1::uuid[]) order by id for no key update", ids
    )
    return {row["id"]: row["version"] for row in rows}


async def read_dossiers(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Dossier]:
    """Transactions with their documents by id, in two queries whatever the batch."""
    wanted = list(set(ids))
    transactions = await read_transactions(connection, wanted)
    rows = await connection.fetch(
        """
        select transaction_id, type, number, revision, body from documents
        where transaction_id = any($1::uuid[]) order by created_at, revision
        """,
        wanted,
    )
    documents: dict[UUID, list[Any]] = {each: [] for each in transactions}
    for row in rows:
        documents[row["transaction_id"]].append(row)
    return {each: _dossier(transaction, documents[each]) for each, transaction in transactions.items()}


def _dossier(transaction: Transaction, rows: Sequence[Any]) -> Dossier:
    def bodies(kind: str) -> list[Any]:
        return [row["body"] for row in rows if row["type"] == kind]

    return Dossier(
        transaction=transaction,
        orders={row["revision"]: Order.model_validate(row["body"]) for row in rows if row["type"] == "order"},
        shipments=tuple(Shipment.model_validate(body) for body in bodies("shipment")),
        invoices=tuple(Invoice.model_validate(body) for body in bodies("invoice")),
        returns=tuple(Return.model_validate(body) for body in bodies("return")),
        bodies={(row["type"], row["number"]): row["body"] for row in rows},
    )


async def keep_documents(connection: Connection, records: Sequence[DocumentRecord]) -> None:
    """Keep documents; one that is there already stays as it was."""
    if not records:
        return
    await connection.execute(
        """
        insert into documents (transaction_id, type, number, revision, system, body)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::jsonb[])
        on conflict do nothing
        """,
        [each.transaction_id for each in records],
        [each.type for each in records],
        [each.number for each in records],
        [each.revision for each in records],
        [each.system for each in records],
        [each.body for each in records],
    )


async def keep_cross_references(connection: Connection, references: Sequence[CrossReference]) -> None:
    """Keep their ids beside ours; the first word of a system on a reference stays."""
    if not references:
        return
    await connection.execute(
        """
        insert into cross_references (system, kind, reference, entity, transaction_id, our_number)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[])
        on conflict do nothing
        """,
        [each.system for each in references],
        [each.kind for each in references],
        [each.reference for each in references],
        [each.entity for each in references],
        [each.transaction_id for each in references],
        [each.our_number for each in references],
    )


async def find_by_reference(connection: Connection, system: str, kind: str, reference: str) -> UUID | None:
    """The transaction under which a system's own id was kept, or None."""
    found: UUID | None = await connection.fetchval(
        "select transaction_id from cross_references where system = $1 and kind = $2 and reference = $3",
        system,
        kind,
        reference,
    )
    return found


async def apply_changes(connection: Connection, changes: Sequence[TransactionChange]) -> None:
    """Apply stages' changes, after their documents were kept; how far invoicing and settlement are follows from the amounts.

    Rows are locked in the order of their ids, so that stages settling at once never deadlock. Several changes of one transaction
    are one.
    """
    if not changes:
        return
    whole: dict[UUID, TransactionChange] = {}
    for each in changes:
        before = whole.get(each.id)
        whole[each.id] = each if before is None else before.and_then(each)
    ordered = sorted(whole.values(), key=lambda each: each.id)
    ids = [each.id for each in ordered]
    await lock_versions(connection, ids)
    await connection.execute(
        _APPLY,
        ids,
        [each.intake for each in ordered],
        [each.commitment for each in ordered],
        [each.fulfilment for each in ordered],
        [each.returns for each in ordered],
        [each.erp_reference for each in ordered],
        [each.order_revision for each in ordered],
        [each.ordered_amount for each in ordered],
        [each.tax_amount for each in ordered],
        [each.shipped for each in ordered],
        [each.invoiced for each in ordered],
        [each.credited for each in ordered],
        [each.paid for each in ordered],
        [each.customer_id for each in ordered],
        [each.customer_po for each in ordered],
        [each.let_go for each in ordered],
    )


# Invoicing is complete when every shipment of a wholly shipped order has its invoice; settlement compares what was paid
# with what is owed. Both depend on two stages, so they are computed here, under the row's lock, and set by no stage.
# A wholly shipped order stays so when a shipment that was overtaken on the way comes after the last one.
_APPLY = """
    with change as (
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
                             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                             $14::text[], $15::text[], $16::int[])
            as c (id, intake, commitment, fulfilment, returns, erp_reference, order_revision, ordered_amount, tax_amount,
                  shipped, invoiced, credited, paid, customer_id, customer_po, let_go)
    ), shipped as (
        select c.id, case
            when t.fulfilment = 'complete' and c.fulfilment = 'partial' then 'complete'
            when t.fulfilment = 'requested' and t.order_revision = c.let_go then 'none'
            else coalesce(c.fulfilment, t.fulfilment) end as fulfilment
        from change c join transactions t using (id)
    ), counted as (
        select c.id, count(*) filter (where d.type = 'shipment') as shipments,
               count(*) filter (where d.type = 'invoice') as invoices
        from change c left join documents d on d.transaction_id = c.id and d.type in ('shipment', 'invoice')
        group by c.id
    )
    update transactions t set
        customer_id = coalesce(c.customer_id, t.customer_id),
        customer_po = coalesce(c.customer_po, t.customer_po),
        intake = coalesce(c.intake, t.intake),
        commitment = coalesce(c.commitment, t.commitment),
        fulfilment = s.fulfilment,
        returns = coalesce(c.returns, t.returns),
        erp_reference = coalesce(c.erp_reference, t.erp_reference),
        order_revision = coalesce(c.order_revision, t.order_revision),
        ordered_amount = coalesce(c.ordered_amount, t.ordered_amount),
        tax_amount = coalesce(c.tax_amount, t.tax_amount),
        shipped_amount = t.shipped_amount + c.shipped,
        invoiced_amount = t.invoiced_amount + c.invoiced,
        credited_amount = t.credited_amount + c.credited,
        paid_amount = t.paid_amount + c.paid,
        invoicing = case
            when n.invoices = 0 then 'none'
            when n.invoices >= n.shipments and s.fulfilment = 'complete' then 'complete'
            else 'partial' end,
        settlement = case
            when t.paid_amount + c.paid = 0 then 'none'
            when t.invoiced_amount + c.invoiced = 0
                or t.paid_amount + c.paid < t.invoiced_amount + c.invoiced - t.credited_amount - c.credited then 'partial'
            when t.paid_amount + c.paid = t.invoiced_amount + c.invoiced - t.credited_amount - c.credited then 'paid'
            else 'overpaid' end,
        version = t.version + 1,
        updated_at = now()
    from change c join shipped s using (id) join counted n using (id)
    where t.id = c.id
"""


async def search_transactions(
    connection: Connection,
    entities: Sequence[str] | None,
    *,
    search: str | None = None,
    transaction_id: UUID | None = None,
    intake: str | None = None,
    commitment: str | None = None,
    customer_id: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Transaction]:
    """Newest transactions first, of these entities (None: all), older than `before`.

    `search` is any exact id, number or reference, of ours or of any system; `transaction_id` the one it stands for, if any.
    """
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from transactions t
        where ($1::text[] is null or entity = any($1))
            and ($2::text is null or id in (
                select $3::uuid where $3 is not null
                union all select id from transactions where order_number = $2
                union all select id from transactions where customer_po = $2
                union all select id from transactions where customer_id = $2
                union all select id from transactions where erp_reference = $2
                union all select transaction_id from documents where number = $2
                union all select transaction_id from cross_references where reference = $2))
            and ($4::text is null or intake = $4) and ($5::text is null or commitment = $5)
            and ($6::text is null or customer_id = $6) and ($7::uuid is null or id < $7)
        order by id desc limit $8
        """,
        entities,
        search,
        transaction_id,
        intake,
        commitment,
        customer_id,
        before,
        limit,
    )
    return [transaction_from(row) for row in rows]
