"""What came in on bank accounts: every line once, with what was made of it."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of received lines."""
    # `identity` is made of what the bank says of the line, and of nothing that another file would say otherwise; with the
    # account's key it is the promise that a line is received once. `reference` is what the payment carries in the ERP.
    op.execute("""
    create table cash_lines (
        id uuid primary key,
        entity text not null,
        account text not null,
        account_key text not null,
        statement text not null,
        identity text not null,
        format text not null,
        file_name text not null,
        file_hash text not null,
        booked_on date not null,
        paid_on date not null,
        amount bigint not null check (amount > 0),
        currency text not null,
        bank_reference text,
        payer_reference text,
        remittance text not null,
        payer text,
        payer_account text,
        customer_id text,
        state text not null check (state in ('suggested', 'unidentified', 'posting', 'posted', 'refused')),
        rule text,
        proposals jsonb not null default '[]',
        rivals integer not null default 0,
        chosen jsonb,
        doubt text,
        reference text not null unique,
        posted jsonb,
        posted_at timestamptz,
        decided_by text,
        decided_at timestamptz,
        reason text,
        exception_id uuid,
        received_by text not null,
        received_at timestamptz not null default now(),
        version integer not null default 1,
        unique (entity, account_key, identity)
    )
    """)
    op.execute("create index cash_lines_like on cash_lines (entity, account_key, booked_on, amount)")
    op.execute("create index cash_lines_state on cash_lines (state, entity, id)")
    op.execute("create index cash_lines_payer on cash_lines (entity, payer_account) where payer_account is not null")
    op.execute("create index cash_lines_exception on cash_lines (exception_id) where exception_id is not null")
