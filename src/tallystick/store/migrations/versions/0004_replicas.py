"""Replicas of the systems of record for the checks, and what accepted orders have promised that the ERP does not know yet."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the replica tables."""
    # `masters` counts the times that customers, products or prices changed: what a process has cached of them is good
    # exactly as long as it stands still.
    op.execute("""
    create table replica_feeds (
        system text primary key,
        cursor text,
        complete boolean not null default false,
        refreshed_at timestamptz not null default now(),
        masters bigint not null default 0
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
        key text not null,
        product_id text not null,
        customer_id text,
        kind text not null,
        price_list text,
        currency text not null,
        unit text not null,
        unit_price numeric not null,
        minimum_quantity numeric not null,
        valid_from date,
        valid_to date,
        primary key (system, key)
    )
    """)
    # Prices for everybody are cached by product, contracts by customer.
    op.execute("create index on replica_prices (system, product_id) where customer_id is null")
    op.execute("create index on replica_prices (system, customer_id) where customer_id is not null")
    # What the ERP answered when it was asked for one customer's prices of one product; such answers carry no feed's keys.
    op.execute("""
    create table replica_price_answers (
        system text not null,
        customer_id text not null,
        product_id text not null,
        prices jsonb not null,
        refreshed_at timestamptz not null default now(),
        primary key (system, customer_id, product_id)
    )
    """)
    op.execute("""
    create table replica_stock (
        system text not null,
        product_id text not null,
        warehouse text not null,
        key text,
        available numeric not null,
        refreshed_at timestamptz not null default now(),
        primary key (system, product_id, warehouse)
    ) with (fillfactor = 80)
    """)
    op.execute("create index on replica_stock (system, key) where key is not null")
    # `announced_hold` is the credit hold that the channels have been told of.
    op.execute("""
    create table replica_credit (
        system text not null,
        customer_id text not null,
        currency text not null,
        limit_amount bigint,
        open_orders bigint not null default 0,
        open_invoices bigint not null default 0,
        on_hold boolean not null default false,
        announced_hold boolean not null default false,
        refreshed_at timestamptz not null default now(),
        primary key (system, customer_id)
    ) with (fillfactor = 80)
    """)
    op.execute("""
    create table replica_tax_rates (
        system text not null,
        jurisdiction text not null,
        currency text not null,
        rate numeric not null,
        refreshed_at timestamptz not null default now(),
        primary key (system, jurisdiction, currency)
    )
    """)
    # Accepted by us, not yet in the ERP's own figures: one row an order, so that what is taken back is exactly what was
    # promised, once; and their sums, which the checks read.
    op.execute("""
    create table promises (
        system text not null,
        entity text not null,
        channel text not null,
        order_number text not null,
        customer_id text not null,
        amount bigint not null,
        stock jsonb not null,
        promised_at timestamptz not null default now(),
        primary key (system, entity, channel, order_number)
    )
    """)
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
