"""Replicas of the systems of record for the checks, and what accepted orders have promised that the ERP does not know yet."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the replica tables."""
    op.execute("""
    create table replica_feeds (
        system text primary key,
        cursor text,
        complete boolean not null default false,
        refreshed_at timestamptz not null default now()
    )
    """)
    op.execute("""
    create table replica_customers (
        system text not null, id text not null, body jsonb not null, refreshed_at timestamptz not null default now(),
        primary key (system, id)
    )
    """)
    op.execute("""
    create table replica_products (
        system text not null, id text not null, body jsonb not null, refreshed_at timestamptz not null default now(),
        primary key (system, id)
    )
    """)
    op.execute("""
    create table replica_prices (
        system text not null,
        product_id text not null,
        key text not null,
        customer_id text,
        price_list text,
        body jsonb not null,
        refreshed_at timestamptz not null default now(),
        primary key (system, product_id, key)
    )
    """)
    op.execute("""
    create table replica_stock (
        system text not null,
        product_id text not null,
        warehouse text not null,
        available numeric not null,
        refreshed_at timestamptz not null default now(),
        primary key (system, product_id, warehouse)
    )
    """)
    op.execute("""
    create table replica_credit (
        system text not null,
        customer_id text not null,
        currency text not null,
        limit_amount bigint,
        open_orders bigint not null default 0,
        open_invoices bigint not null default 0,
        on_hold boolean not null default false,
        refreshed_at timestamptz not null default now(),
        primary key (system, customer_id)
    )
    """)
    # Accepted by us, not yet in the ERP's own figures: added to what the replica says until the ERP has the order.
    op.execute("""
    create table promised_stock (
        system text not null,
        product_id text not null,
        warehouse text not null,
        quantity numeric not null,
        primary key (system, product_id, warehouse)
    ) with (fillfactor = 70)
    """)
    op.execute("""
    create table promised_credit (
        system text not null,
        customer_id text not null,
        amount bigint not null,
        primary key (system, customer_id)
    ) with (fillfactor = 70)
    """)
