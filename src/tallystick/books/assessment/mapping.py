"""Which column is what on either side, as a file that a person can correct and give back."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tallystick.books.assessment.names import ROLES, Role
from tallystick.books.sources import Choices, SourceError
from tallystick.documents.money import Currency

Compared = Literal["amount", "quantity", "price", "currency", "party", "product", "status", "date"]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SideMapping(_Said):
    """One side: how its files are read, and which column is what. An empty name says that there is none."""

    read: Choices = Choices()
    key: Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = ()
    document: str | None = None
    party: str | None = None
    date: str | None = None
    due: str | None = None
    amount: str | None = None
    currency: str | None = None
    quantity: str | None = None
    price: str | None = None
    discount: str | None = None
    status: str | None = None
    channel: str | None = None
    product: str | None = None

    def column(self, role: Role) -> str | None:
        """The column of a role, other than the key; None where nothing is said or there is none."""
        return getattr(self, role, None) or None

    def said(self, role: Role) -> bool:
        """Whether the file says anything of a role, be it that there is none."""
        return getattr(self, role, None) is not None if role != "key" else bool(self.key)


class Matching(_Said):
    """How rows of the two sides find each other."""

    keys: Literal["text", "digits"] | None = None
    """Whether keys are compared whole, or by their digits only: INV-00123 is 123."""
    compare: tuple[Compared, ...] | None = None
    tolerance: Decimal = Field(default=Decimal(0), ge=0)
    """How far amounts may be apart, in major units."""
    currency: Currency | None = None
    """Of money beside which none stands."""


class Mapping(_Said):
    """A whole mapping file; whatever it does not say is proposed."""

    sales: SideMapping = SideMapping()
    finance: SideMapping = SideMapping()
    matching: Matching = Matching()


class Proposed(_Said):
    """One role with the columns that have it, and why."""

    role: Role
    sales: tuple[str, ...]
    finance: tuple[str, ...]
    confidence: float
    evidence: str
    compared: bool = False


def read_mapping(path: Path) -> Mapping:
    """A mapping file. Raises SourceError in one line when it can't be read or says something that we don't know."""
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        raise SourceError(f"{path}: {place}: {first['msg'].lower()}") from error


def write_mapping(path: Path, mapping: Mapping, proposed: Sequence[Proposed]) -> None:
    """Write the mapping that was used as a file to correct: each line with how sure we are."""
    told = {each.role: each for each in proposed}
    lines = [
        "# Which column is what. Correct it, delete what you don't want to say, and give it back: --mapping FILE.",
        "# An empty text says that there is no such column.",
    ]
    for side, name in ((mapping.sales, "sales"), (mapping.finance, "finance")):
        lines += ["", f"[{name}]"]
        for role in ROLES:
            value = list(side.key) if role == "key" else side.column(role)
            if value:
                remark = f"  # {told[role].confidence:.0%} sure: {told[role].evidence}" if role in told else "  # said"
                lines.append(f"{role} = {_toml(value)}{remark}")
        read = side.read.model_dump(exclude_none=True)
        lines += [f"[{name}.read]", *(f"{key} = {_toml(value)}" for key, value in read.items())] if read else []
    matching = mapping.matching
    lines += ["", "[matching]"]
    for key, value in matching.model_dump(exclude_none=True).items():
        lines.append(f"{key} = {_toml(str(value) if isinstance(value, Decimal) else value)}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _toml(value: object) -> str:
    """A text, number or list of texts as TOML has it, which JSON writes alike."""
    return orjson.dumps(list(value) if isinstance(value, tuple) else value).decode()
