"""Transactions with a state a stage, their documents, cross-references and lineage."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of the order-to-cash chain."""
    op.execute("""
    create table transactions (
        id uuid primary key,
        entity text not null,
        channel text not null,
        order_number text not null,
        customer_po text,
        customer_id text not null,
        currency text not null,
        intake text not null,
        commitment text not null default 'none',
        fulfilment text not null default 'none',
        invoicing text not null default 'none',
        settlement text not null default 'none',
        returns text not null default 'none',
        ordered_amount bigint not null,
        tax_amount bigint not null default 0,
        shipped_amount bigint not null default 0,
        invoiced_amount bigint not null default 0,
        credited_amount bigint not null default 0,
        paid_amount bigint not null default 0,
        erp_reference text,
        order_revision integer not null default 1,
        version integer not null default 1,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    )
    """)
    # One live order for a channel's number; a rejected or cancelled one may be sent again.
    op.execute("""
    create unique index transactions_live_order on transactions (entity, channel, order_number)
        where intake not in ('rejected', 'cancelled')
    """)
    op.execute("create index transactions_customer on transactions (entity, customer_id, id)")
    op.execute("create index transactions_customer_po on transactions (customer_po) where customer_po is not null")
    op.execute(
        "create index transactions_erp_reference on transactions (erp_reference) where erp_reference is not null"
    )
    op.execute("""
    create table documents (
        transaction_id uuid not null references transactions (id),
        type text not null,
        number text not null,
        revision integer not null default 1,
        system text not null,
        body jsonb not null,
        created_at timestamptz not null default now(),
        primary key (transaction_id, type, number, revision)
    )
    """)
    op.execute("create index documents_number on documents (type, number)")
    op.execute("""
    create table cross_references (
        system text not null,
        kind text not null,
        reference text not null,
        entity text not null,
        transaction_id uuid not null references transactions (id),
        our_number text not null,
        created_at timestamptz not null default now(),
        primary key (system, kind, reference)
    )
    """)
    op.execute("create index cross_references_transaction on cross_references (transaction_id)")
    op.execute("""
    create table lineage (
        id uuid not null,
        transaction_id uuid not null,
        at timestamptz not null,
        stage text not null,
        fact text not null,
        system text,
        message_id uuid,
        actor text,
        duration_ms real,
        detail jsonb,
        primary key (id, at)
    ) partition by range (at)
    """)
    op.execute("create index lineage_transaction on lineage (transaction_id, id)")
    op.execute("create table lineage_default partition of lineage default")
