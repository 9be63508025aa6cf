"""Who may do what: roles and permissions as data, principals, and the one function that decides. Denied unless allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_READ = frozenset({"exceptions.read", "transactions.read", "messages.read", "systems.read", "orders.validate"})
_ORDER = frozenset({"orders.create", "orders.validate", "orders.change", "orders.cancel", "transactions.read"})
ALL_PERMISSIONS = (
    _READ
    | _ORDER
    | {"exceptions.work", "exceptions.override", "messages.replay", "messages.discard", "systems.operate"}
    | {"audit.read", "keys.read", "keys.manage"}
    | {"cash.read", "cash.post", "cash.decide"}
    | {"runs.read", "runs.keep", "runs.work", "runs.prepare", "runs.sign_off", "runs.reopen"}
)
PERMISSIONS: dict[str, frozenset[str]] = {
    "admin": ALL_PERMISSIONS,
    "operator": _READ
    | {"exceptions.work", "exceptions.override", "messages.replay", "messages.discard", "systems.operate"}
    | {"orders.change", "orders.cancel", "runs.read", "runs.keep"},
    "finance": _READ
    | {"exceptions.work", "exceptions.override", "audit.read", "cash.read", "cash.post", "cash.decide"}
    | {"runs.read", "runs.keep", "runs.work", "runs.prepare", "runs.sign_off"},
    "sales": _ORDER | {"exceptions.read", "exceptions.work"},
    "system": _ORDER,
    "auditor": _READ | {"audit.read", "keys.read", "cash.read", "runs.read"},
}
ALL_ENTITIES = "*"


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

    @property
    def permissions(self) -> frozenset[str]:
        """What the roles allow, within the key's scopes."""
        allowed = frozenset().union(*(PERMISSIONS.get(role, frozenset()) for role in self.roles))
        return allowed if self.scopes is None else allowed & self.scopes


def may(principal: Principal, permission: str, entity: str | None = None) -> bool:
    """Whether the principal may do this, for this entity. The only place that decides."""
    acts_for = entity is None or ALL_ENTITIES in principal.entities or entity in principal.entities
    return acts_for and permission in principal.permissions


def may_for_all(principal: Principal, permission: str, entities: Iterable[str]) -> bool:
    """Whether the principal may do what touches all these entities at once, such as pausing a system they share."""
    return may(principal, permission) and all(may(principal, permission, entity) for entity in entities)


def excess(granting: Principal, granted: Principal) -> str | None:
    """What a principal would give away that it does not have itself, in words; None when nothing. Nobody rises by a key."""
    beyond = granted.permissions - granting.permissions
    if beyond:
        return f"the permission {min(beyond)!r}"
    if ALL_ENTITIES not in granting.entities and not granted.entities <= granting.entities:
        return f"the entity {min(granted.entities - granting.entities)!r}"
    return None
