"""The reconciliations that come with Tallystick, by name: to be run on one's own files, or copied and changed."""

from __future__ import annotations

from importlib.resources import files

from tallystick.books.reconciliation.rules import Rules
from tallystick.books.reconciliation.rules_file import RulesError, parse_rules

_FOLDER = files("tallystick.books.reconciliation").joinpath("rule_sets")


def names() -> list[str]:
    """The names of all rule sets."""
    return sorted(each.name.removesuffix(".toml") for each in _FOLDER.iterdir() if each.name.endswith(".toml"))


def text_of(name: str) -> str:
    """A rule set as its file is written. Raises RulesError when there is none of that name."""
    if name not in names():
        raise RulesError(f"{name}: no such rules file, and no rule set of that name; there are {', '.join(names())}")
    return _FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8")


def rule_set(name: str) -> Rules:
    """A rule set by its name. Raises RulesError when there is none."""
    return parse_rules(text_of(name), f"{name}.toml")
