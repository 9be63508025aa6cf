"""The formal models speak of the code: each name in their README's table is in a model, and names something that exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "docs/model"
SCHEMA = ROOT / "src/tallystick/store/migrations/versions/0002_mailbox.py"
NAMES = {
    name: code
    for names, code in re.findall(
        r"^\| (`.+`) \| (.+) \|$", MODEL.joinpath("README.md").read_text().split("## Names")[1], re.M
    )
    for name in re.findall(r"`(\w+)`", names)
}


def messages_table() -> str:
    """How the table of messages is made, with its indexes."""
    return SCHEMA.read_text().split("create table message_attempts")[0]


def exists(code: str) -> bool:
    """Whether `package.module.name` or `package.module.Class.name` names something, be it only an annotated field."""
    module: str = code
    names: list[str] = []
    while (found := imported(module)) is None:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
    thing: object = found
    for name in names[:-1]:
        thing = getattr(thing, name)
    return hasattr(thing, names[-1]) or names[-1] in getattr(thing, "__annotations__", {})


def imported(module: str) -> ModuleType | None:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        return None


def test_the_table_has_the_names_that_matter() -> None:
    assert {
        "offer",
        "claim",
        "extend",
        "finish",
        "defer",
        "give_back",
        "deliveries",
        "claimed_by",
        "available_at",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_models_is_one_of_the_code(name: str) -> None:
    models = "\n".join(each.read_text() for each in sorted(MODEL.glob("*.pml")))
    assert re.search(rf"\b{name}\b", models), f"{name} is in no model"
    code = NAMES[name].strip("`")
    if code.startswith("tallystick."):
        assert code.rsplit(".", 1)[1].lower() == name.lower()
        assert exists(code), f"there is no {code}"
    else:
        assert re.search(rf"\b{name}\b", messages_table()), f"{name} is not in the table of messages"
