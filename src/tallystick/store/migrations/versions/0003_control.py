"""Exceptions for people, the audit trail, and who may do what."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of control."""
    op.execute("""
    create table exceptions (
        id uuid primary key,
        entity text not null,
        transaction_id uuid references transactions (id),
        message_id uuid,
        type text not null,
        stage text not null,
        system text,
        state text not null default 'open' check (state in ('open', 'resolved')),
        summary text not null,
        reasons jsonb not null default '[]',
        context jsonb not null default '{}',
        money_at_risk bigint not null default 0,
        currency text,
        owner text,
        opened_at timestamptz not null default now(),
        due_at timestamptz not null,
        resolved_at timestamptz,
        resolved_by text,
        resolution text,
        resolution_reason text,
        root_cause text,
        version integer not null default 1
    )
    """)
    # One index for each order in which the queue is read.
    op.execute("create index exceptions_due on exceptions (due_at, id) where state = 'open'")
    op.execute("create index exceptions_money on exceptions (money_at_risk, id) where state = 'open'")
    op.execute("create index exceptions_opened on exceptions (opened_at, id)")
    op.execute("create index exceptions_transaction on exceptions (transaction_id)")
    op.execute("create unique index exceptions_message on exceptions (message_id) where state = 'open'")
    op.execute("""
    create table exception_notes (
        id uuid primary key,
        exception_id uuid not null references exceptions (id),
        at timestamptz not null default now(),
        principal text not null,
        action text not null,
        note text,
        detail jsonb
    )
    """)
    op.execute("create index exception_notes_exception on exception_notes (exception_id, id)")
    op.execute("""
    create table audit_entries (
        id uuid not null,
        at timestamptz not null default now(),
        principal text not null,
        action text not null,
        object_type text not null,
        object_id text not null,
        entity text,
        transaction_id uuid,
        reason text,
        detail jsonb,
        primary key (id, at)
    ) partition by range (at)
    """)
    op.execute("create index audit_entries_object on audit_entries (object_type, object_id, id)")
    op.execute(
        "create index audit_entries_transaction on audit_entries (transaction_id) where transaction_id is not null"
    )
    op.execute("create index audit_entries_principal on audit_entries (principal, id)")
    op.execute("create table audit_entries_default partition of audit_entries default")
    op.execute("""
    create table principals (
        name text primary key,
        roles text[] not null,
        entities text[] not null,
        active boolean not null default true,
        created_at timestamptz not null default now()
    )
    """)
    op.execute("""
    create table api_keys (
        id text primary key,
        principal text not null references principals (name),
        secret_hash bytea not null,
        scopes text[],
        created_at timestamptz not null default now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz
    )
    """)
    op.execute("create index api_keys_principal on api_keys (principal)")
