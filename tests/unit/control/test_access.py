"""Who may do what: denied unless a role allows it, for an entity that the principal acts for, within the key's scopes."""

from __future__ import annotations

import pytest

from tallystick.control.access import ALL_PERMISSIONS, PERMISSIONS, Principal, excess, may, may_for_all


def principal(*roles: str, entities: tuple[str, ...] = ("east",), scopes: frozenset[str] | None = None) -> Principal:
    return Principal("somebody", frozenset(roles), frozenset(entities), scopes)


def test_nobody_without_a_role_or_with_an_unknown_one_may_do_anything() -> None:
    for each in ALL_PERMISSIONS:
        assert not may(principal(), each)
        assert not may(principal("superuser"), each)


def test_roles_add_up_and_scopes_only_narrow() -> None:
    assert may(principal("sales", "auditor"), "orders.create")
    assert may(principal("sales", "auditor"), "audit.read")
    narrowed = principal("sales", scopes=frozenset({"orders.validate", "keys.manage"}))
    assert narrowed.permissions == {"orders.validate"}


def test_a_permission_holds_for_the_own_entities_only() -> None:
    east, everywhere = principal("admin"), principal("admin", entities=("*",))
    assert may(east, "orders.create", "east")
    assert not may(east, "orders.create", "west")
    assert may(everywhere, "orders.create", "west")
    assert not may_for_all(east, "systems.operate", ["east", "west"])
    assert (east.entity_filter, everywhere.entity_filter) == (["east"], None)


@pytest.mark.parametrize("role", sorted(PERMISSIONS))
def test_no_role_grants_what_it_does_not_have(role: str) -> None:
    beyond = excess(principal(role), principal("admin"))
    assert (beyond is None) == (role == "admin")


def test_nobody_gives_away_an_entity_that_is_not_theirs() -> None:
    assert excess(principal("admin"), principal("sales", entities=("west",))) == "the entity 'west'"
    assert excess(principal("admin"), principal("sales", entities=("*",))) == "the entity '*'"
    assert excess(principal("admin", entities=("*",)), principal("admin", entities=("*",))) is None
