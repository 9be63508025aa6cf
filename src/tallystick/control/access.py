"""Who may do what: principals with roles for entities, API keys, and the one function that decides. Denied unless allowed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tallystick.store.pool import Connection, Pool

_OPERATE = {"exceptions.read", "transactions.read", "messages.read", "systems.read", "orders.validate"}
PERMISSIONS: dict[str, frozenset[str]] = {
    "admin": frozenset({"*"}),
    "operator": frozenset(
        _OPERATE
        | {"exceptions.work", "exceptions.override", "messages.replay", "messages.discard", "systems.operate"}
        | {"orders.change", "orders.cancel"}
    ),
    "finance": frozenset(_OPERATE | {"exceptions.work", "exceptions.override", "audit.read"}),
    "sales": frozenset({"orders.create", "orders.validate", "orders.change", "orders.cancel", "transactions.read"})
    | {"exceptions.read", "exceptions.work"},
    "system": frozenset({"orders.create", "orders.validate", "orders.change", "orders.cancel", "transactions.read"}),
    "auditor": frozenset(_OPERATE | {"audit.read", "keys.read"}),
}
ALL_ENTITIES = "*"
_KEY_PREFIX = "tsk"
_CACHE_SECONDS = 5.0
_CACHE_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts: their roles, the entities they act for, and the scopes their key is narrowed to."""

    name: str
    roles: frozenset[str]
    entities: frozenset[str]
    scopes: frozenset[str] | None = None

    @property
    def entity_filter(self) -> list[str] | None:
        """Entities for a query's filter; None is all."""
        return None if ALL_ENTITIES in self.entities else sorted(self.entities)


def may(principal: Principal, permission: str, entity: str | None = None) -> bool:
    """Whether the principal may do this, for this entity. The only place that decides."""
    allowed = any(
        "*" in PERMISSIONS.get(role, ()) or permission in PERMISSIONS.get(role, ()) for role in principal.roles
    )
    in_scope = principal.scopes is None or permission in principal.scopes
    acts_for = entity is None or ALL_ENTITIES in principal.entities or entity in principal.entities
    return allowed and in_scope and acts_for


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `secret` is shown this once and kept nowhere."""

    id: str
    secret: str
    expires_at: datetime | None


def _hash(secret: str) -> bytes:
    # The secret has 256 random bits, so a fast hash is right: there is nothing to guess.
    return hashlib.sha256(secret.encode()).digest()


async def create_key(
    connection: Connection,
    principal: str,
    roles: Sequence[str],
    entities: Sequence[str] = (ALL_ENTITIES,),
    *,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a principal, making or updating the principal. Raises ValueError for an unknown role."""
    unknown = sorted(set(roles) - set(PERMISSIONS))
    if unknown or not roles:
        raise ValueError(f"roles: {unknown or 'none given'}; known are {', '.join(sorted(PERMISSIONS))}")
    identifier, random_part = secrets.token_hex(6), secrets.token_urlsafe(32)
    secret = f"{_KEY_PREFIX}_{identifier}_{random_part}"
    await connection.execute(
        """
        insert into principals (name, roles, entities) values ($1, $2, $3)
        on conflict (name) do update set roles = excluded.roles, entities = excluded.entities
        """,
        principal,
        list(roles),
        list(entities),
    )
    await connection.execute(
        "insert into api_keys (id, principal, secret_hash, scopes, expires_at) values ($1, $2, $3, $4, $5)",
        identifier,
        principal,
        _hash(secret),
        list(scopes) if scopes is not None else None,
        expires_at,
    )
    return NewKey(identifier, secret, expires_at)


async def revoke_key(connection: Connection, identifier: str) -> bool:
    """Revoke a key; it stops working within five seconds. Returns whether it was valid."""
    status = await connection.execute(
        "update api_keys set revoked_at = now() where id = $1 and revoked_at is null", identifier
    )
    return status == "UPDATE 1"


async def list_keys(connection: Connection) -> list[dict[str, Any]]:
    """All keys without their secrets."""
    rows = await connection.fetch(
        """
        select k.id, k.principal, p.roles, p.entities, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        from api_keys k join principals p on p.name = k.principal order by k.created_at
        """
    )
    return [dict(row) for row in rows]


@dataclass(slots=True)
class Authenticator:
    """Tells the principal of a key. Answers are remembered for five seconds, good ones only."""

    pool: Pool
    _known: dict[bytes, tuple[float, datetime | None, Principal]] = field(default_factory=dict)

    async def authenticate(self, secret: str) -> Principal | None:
        """The principal of a valid key; None for a malformed, unknown, expired or revoked one."""
        digest = _hash(secret)
        known = self._known.get(digest)
        if known and known[0] > time.monotonic() and (known[1] is None or known[1] > datetime.now(UTC)):
            return known[2]
        parts = secret.split("_", 2)
        if len(parts) != 3 or parts[0] != _KEY_PREFIX or len(secret) > 200:
            return None
        row = await self.pool.fetchrow(
            """
            update api_keys k set last_used_at = now() from principals p
            where k.id = $1 and p.name = k.principal and p.active and k.revoked_at is null
                and (k.expires_at is null or k.expires_at > now())
            returning k.secret_hash, k.scopes, k.expires_at, p.name, p.roles, p.entities
            """,
            parts[1],
        )
        if row is None or not hmac.compare_digest(row["secret_hash"], digest):
            return None
        scopes = None if row["scopes"] is None else frozenset(row["scopes"])
        principal = Principal(row["name"], frozenset(row["roles"]), frozenset(row["entities"]), scopes)
        if len(self._known) >= _CACHE_KEYS:
            self._known.clear()
        self._known[digest] = (time.monotonic() + _CACHE_SECONDS, row["expires_at"], principal)
        return principal
