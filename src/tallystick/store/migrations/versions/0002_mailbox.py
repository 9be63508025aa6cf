"""The mailbox: live messages, their failed attempts, the log of finished ones, the inbox, and what is known of each system."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables of the mailbox."""
    # Live messages only: a finished one moves to message_log in the transaction that settles it, so that the cost of
    # a claim grows with what waits and never with history. `position` orders a lane; `deliveries` fences.
    op.execute("""
    create table messages (
        id uuid primary key,
        position bigint generated always as identity,
        entity text not null,
        stage text not null,
        system text not null,
        kind text not null,
        lane uuid not null,
        transaction_id uuid,
        payload jsonb not null,
        state text not null default 'ready' check (state in ('ready', 'parked', 'dead')),
        available_at timestamptz not null default now(),
        deliveries integer not null default 0,
        attempts integer not null default 0,
        claimed_by text,
        last_failure jsonb,
        created_at timestamptz not null default now()
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000)
    """)
    op.execute("create index messages_claim on messages (stage, system, available_at, position) where state = 'ready'")
    # A lane is what waits in it, in order, and at most one message that was started: claimed at least once, and neither
    # finished nor discarded. That there are never two is this index's word, whatever two workers see at the same moment.
    op.execute("create index messages_waiting on messages (lane, stage, system, position) where deliveries = 0")
    op.execute("create unique index messages_started on messages (lane, stage, system) where deliveries > 0")
    # Nearly always the lane is the transaction, so its messages are found by their lane; these are the others.
    op.execute("create index messages_elsewhere on messages (transaction_id) where transaction_id <> lane")
    op.execute("create index messages_set_aside on messages (state, id) where state <> 'ready'")
    op.execute("""
    create table message_attempts (
        message_id uuid not null,
        delivery integer not null,
        at timestamptz not null,
        duration_ms real not null,
        worker text not null,
        failure text not null,
        code text not null,
        error text not null,
        request jsonb,
        response jsonb,
        primary key (message_id, delivery, at)
    ) partition by range (at)
    """)
    op.execute("create table message_attempts_default partition of message_attempts default")
    op.execute("""
    create table message_log (
        id uuid not null,
        entity text not null,
        stage text not null,
        system text not null,
        kind text not null,
        lane uuid not null,
        transaction_id uuid,
        payload jsonb not null,
        outcome text not null,
        deliveries integer not null,
        attempts integer not null,
        worker text,
        created_at timestamptz not null,
        finished_at timestamptz not null default now(),
        primary key (id, finished_at)
    ) partition by range (finished_at)
    """)
    op.execute("create table message_log_default partition of message_log default")
    op.execute("""
    create table inbox (
        source text not null,
        key text not null,
        payload_hash bytea not null,
        transaction_id uuid,
        status integer not null,
        answer jsonb,
        received_at timestamptz not null default now(),
        primary key (source, key)
    )
    """)
    op.execute("create index inbox_received on inbox (received_at)")
    op.execute("""
    create table system_states (
        system text primary key,
        paused boolean not null default false,
        paused_by text,
        paused_reason text,
        breaker text not null default 'closed' check (breaker in ('closed', 'open', 'half_open')),
        breaker_until timestamptz,
        throttled_until timestamptz,
        consecutive_failures integer not null default 0,
        last_success_at timestamptz,
        last_failure_at timestamptz,
        last_failure text,
        tokens double precision not null default 0,
        tokens_at timestamptz not null default '-infinity',
        updated_at timestamptz not null default now()
    )
    """)
