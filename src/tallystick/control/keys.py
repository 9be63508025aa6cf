"""API keys: made, listed, rotated, revoked, and told apart. A secret is shown once and kept only as its hash."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tallystick.control.access import ALL_ENTITIES, ALL_PERMISSIONS, PERMISSIONS, Principal
from tallystick.store.pool import Connection, Pool

_PREFIX = "tsk"
_LONGEST_SECRET = 200
_CACHE_SECONDS = 5.0
_CACHE_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `secret` is shown this once and kept nowhere."""

    id: str
    secret: str = field(repr=False)
    expires_at: datetime | None = None


def _hash(secret: str) -> bytes:
    # The secret has 256 random bits, so a fast hash is right: there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _new_secret() -> tuple[str, str]:
    identifier = secrets.token_hex(6)
    return identifier, f"{_PREFIX}_{identifier}_{secrets.token_urlsafe(32)}"


async def create_key(
    connection: Connection,
    principal: str,
    roles: Sequence[str],
    entities: Sequence[str] = (ALL_ENTITIES,),
    *,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a principal, who is made or gets these roles and entities (all of their keys follow).

    Raises ValueError for an unknown role or scope, or none.
    """
    _known("roles", roles, PERMISSIONS)
    if scopes is not None:
        _known("scopes", scopes, ALL_PERMISSIONS)
    if not entities:
        raise ValueError(f"entities: none given; name some, or {ALL_ENTITIES!r} for all")
    identifier, secret = _new_secret()
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


def _known(what: str, given: Sequence[str], known: Any) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{what}: {unknown[0]!r} is not one of {', '.join(sorted(known))}")
    if not given:
        raise ValueError(f"{what}: none given; known are {', '.join(sorted(known))}")


async def rotate_key(
    connection: Connection, identifier: str, entities: Sequence[str] | None = None, *, overlap_seconds: float = 0.0
) -> NewKey | None:
    """A new key like this one; the old one ends after the overlap, so that its user can change over without a gap.

    None when there is no valid key of that id whose principal acts within `entities` (None: any). The new key keeps the
    old one's length of life.
    """
    new_identifier, secret = _new_secret()
    row = await connection.fetchrow(
        """
        with old as (
            update api_keys k set
                expires_at = least(k.expires_at, now() + make_interval(secs => $4)),
                revoked_at = case when $4 <= 0 then now() end
            from (select k.id, k.expires_at - k.created_at as life from api_keys k join principals p on p.name = k.principal
                  where k.id = $1 and ($5::text[] is null or p.entities <@ $5) for update of k) before
            where k.id = before.id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            returning k.principal, k.scopes, before.life
        )
        insert into api_keys (id, principal, secret_hash, scopes, expires_at)
        select $2, principal, $3, scopes, now() + life from old
        returning id, expires_at
        """,
        identifier,
        new_identifier,
        _hash(secret),
        overlap_seconds,
        entities,
    )
    return NewKey(row["id"], secret, row["expires_at"]) if row else None


async def revoke_key(connection: Connection, identifier: str, entities: Sequence[str] | None = None) -> bool:
    """Revoke a key; it stops working within five seconds. Returns whether it was valid, and its principal's within `entities`."""
    status = await connection.execute(
        """
        update api_keys k set revoked_at = now() from principals p
        where k.id = $1 and k.revoked_at is null and p.name = k.principal and ($2::text[] is null or p.entities <@ $2)
        """,
        identifier,
        entities,
    )
    return status == "UPDATE 1"


async def list_keys(connection: Connection, entities: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Keys without their secrets, of principals who act within `entities` (None: all)."""
    rows = await connection.fetch(
        """
        select k.id, k.principal, p.roles, p.entities, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        from api_keys k join principals p on p.name = k.principal
        where $1::text[] is null or p.entities <@ $1
        order by k.created_at
        """,
        entities,
    )
    return [dict(row) for row in rows]


async def read_grant(connection: Connection, principal: str) -> Principal | None:
    """What a principal has now, before a new key's roles and entities replace it; None if unknown."""
    row = await connection.fetchrow("select name, roles, entities from principals where name = $1", principal)
    return Principal(row["name"], frozenset(row["roles"]), frozenset(row["entities"])) if row else None


@dataclass(frozen=True, slots=True)
class _Verified:
    """A key found good, until when the answer may be remembered (monotonic) and when the key expires."""

    until: float
    expires_at: datetime | None
    principal: Principal

    def holds(self) -> bool:
        return self.until > time.monotonic() and (self.expires_at is None or self.expires_at > datetime.now(UTC))


@dataclass(slots=True)
class Authenticator:
    """Tells the principal of a key. Good answers are remembered for five seconds, so a revocation works within them."""

    pool: Pool
    _known: OrderedDict[bytes, _Verified] = field(default_factory=OrderedDict)
    _asking: dict[bytes, asyncio.Task[Principal | None]] = field(default_factory=dict)

    async def authenticate(self, secret: str) -> Principal | None:
        """The principal of a valid key; None for a malformed, unknown, expired or revoked one."""
        digest = _hash(secret)
        known = self._known.get(digest)
        if known and known.holds():
            return known.principal
        parts = secret.split("_", 2)
        if len(parts) != 3 or parts[0] != _PREFIX or len(secret) > _LONGEST_SECRET or not parts[1].isalnum():
            return None
        # Requests that find the answer outdated at one moment ask the database once, together.
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(parts[1], digest))
            self._asking[digest] = asking
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(asking)

    async def _ask(self, identifier: str, digest: bytes) -> Principal | None:
        started = time.monotonic()
        row = await self.pool.fetchrow(
            """
            select k.secret_hash, k.scopes, k.expires_at, p.name, p.roles, p.entities,
                   k.last_used_at is null or k.last_used_at < now() - interval '1 minute' as stale
            from api_keys k join principals p on p.name = k.principal
            where k.id = $1 and p.active and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            """,
            identifier,
        )
        if row is None or not hmac.compare_digest(row["secret_hash"], digest):
            self._known.pop(digest, None)
            return None
        if row["stale"]:
            await self.pool.execute("update api_keys set last_used_at = now() where id = $1", identifier)
        scopes = None if row["scopes"] is None else frozenset(row["scopes"])
        principal = Principal(row["name"], frozenset(row["roles"]), frozenset(row["entities"]), scopes)
        self._known[digest] = _Verified(started + _CACHE_SECONDS, row["expires_at"], principal)
        self._known.move_to_end(digest)
        if len(self._known) > _CACHE_KEYS:
            self._known.popitem(last=False)
        return principal
