"""Which connectors there are, and making one from its settings: built in by name, others by the entry point group.

A package of its own registers its connectors in the entry point group `tallystick.systems`; each entry's name is the kind
and its value a factory `connect(name, options) -> System` (docs/how-to/new-connector.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from tallystick.settings import SettingsError
from tallystick.systems.excerpts import MASK, masked, one_line
from tallystick.systems.ports import Operation, System

GROUP = "tallystick.systems"
BUILT_IN: Mapping[str, str] = {
    kind: f"tallystick.systems.{kind}"
    for kind in ("tryton", "sandbox_erp", "sandbox_crm", "sandbox_wms", "sandbox_tax", "sandbox_payments")
}

Factory = Callable[[str, Mapping[str, Any]], System]


def kinds() -> list[str]:
    """All kinds of connectors that can be named in the settings, sorted."""
    return sorted({*BUILT_IN, *(each.name for each in _installed())})


def connect(name: str, kind: str, options: Mapping[str, Any]) -> System:
    """The connector of this kind, under the name it has in the settings. It does not call the system yet.

    Raises SettingsError in one line: an unknown kind with the known ones, or the setting that is missing or wrong.
    """
    factory = _factory(name, kind)
    try:
        system = factory(name, options)
    except ValidationError as error:
        raise SettingsError(_first_error(name, error)) from None
    except ValueError as error:
        raise SettingsError(f"systems.{name}: {one_line(error)}") from error
    if not isinstance(system, System):
        made = type(system).__name__
        raise SettingsError(
            f"systems.{name}.kind: the factory of {kind!r} made a {made}, which is no System; mend its package"
        )
    return system


def require(system: System, operations: Iterable[Operation]) -> None:
    """Check at start-up that a system can do what the flow will ask. Raises SettingsError naming what it cannot."""
    missing = sorted(set(operations) - system.capabilities.operations)
    if missing:
        able = ", ".join(sorted(system.capabilities.operations)) or "nothing"
        raise SettingsError(
            f"systems.{system.name}: its connector cannot {', '.join(missing)} (it can {able}); "
            "name another system for this role in [entities], or another kind"
        )


def _installed() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _factory(name: str, kind: str) -> Factory:
    found = [each for each in _installed() if each.name == kind]
    # Two packages that claim one kind would make it a matter of luck where orders go.
    if len(found) + (kind in BUILT_IN) > 1:
        owners = ", ".join(each.value for each in found)
        raise SettingsError(f"systems.{name}.kind: {kind!r} is registered more than once ({owners}); remove a package")
    if kind in BUILT_IN:
        factory: Factory = import_module(BUILT_IN[kind]).connect
        return factory
    if not found:
        raise SettingsError(f"systems.{name}.kind: unknown kind {kind!r}; known are {', '.join(kinds())}")
    try:
        loaded: Factory = found[0].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"systems.{name}.kind: {kind!r} comes from {found[0].value}, which cannot be loaded: {one_line(error)}"
        ) from error
    return loaded


def _first_error(name: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    value = first["input"]
    setting = str(first["loc"][0]) if first["loc"] else ""
    hidden = masked({setting: ""})[setting] == MASK  # a secret is never shown, even when it was written in plain
    shown = "" if hidden or isinstance(value, Mapping) else f" (got {one_line(repr(value), 80)})"
    more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return f"systems.{name}{'.' if where else ''}{where}: {first['msg']}{shown}{more}"
