"""What columns are called in exports, in English, German and the codes of common ERPs, and what each name stands for."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import Literal, get_args

Role = Literal[
    "key",
    "line",
    "document",
    "party",
    "date",
    "amount",
    "currency",
    "quantity",
    "price",
    "discount",
    "status",
    "channel",
    "product",
    "due",
]
ROLES: tuple[Role, ...] = get_args(Role)

_NAMES: dict[str, dict[str, list[str]]] = tomllib.loads(files(__package__).joinpath("names.toml").read_text("utf-8"))
_WHOLE = {role: frozenset(names["whole"]) for role, names in _NAMES.items()}
_WORDS = {role: re.compile(rf"\b(?:{'|'.join(names['words'])})\b") for role, names in _NAMES.items()}
_CAMEL = re.compile(r"(?<=[a-zäöü0-9])(?=[A-ZÄÖÜ])")


def plain_name(name: str) -> str:
    """A column's name in small letters, its words parted by one space: `CustomerID` and `customer_id` are `customer id`."""
    return " ".join(re.sub(r"[^\w]+|_", " ", _CAMEL.sub(" ", name)).casefold().split())


def name_score(name: str, role: Role) -> float:
    """How much a name speaks for a role: 1 when it is just that, 0.6 when a word of it is, else 0."""
    plain = plain_name(name)
    if plain in _WHOLE[role] or plain.replace(" ", "") in _WHOLE[role]:
        return 1.0
    if _WORDS[role].search(plain):
        return 0.6
    return 0.0
