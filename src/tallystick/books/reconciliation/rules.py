"""The rules of one reconciliation as typed data: what is compared with what, how it matches, and what its breaks mean."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tallystick.books.reconciliation.conditions import Condition
from tallystick.documents.money import Currency, Rounding

TEXTS = ("party", "item", "currency", "status", "reference", "unit", "group")
FIELDS = ("key", "date", "amount", "quantity", "price", *TEXTS)
Decimals = Literal[".", ","]
FieldName = Literal[
    "key", "date", "amount", "quantity", "price", "party", "item", "currency", "status", "reference", "group"
]


class Rule(BaseModel):
    """Whatever stands in a rules file: nothing in it that we don't know, nothing that changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Rule):
    """A field of text: a column, or the same for every row."""

    column: str | None = None
    constant: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either a column or a constant")
        return self


class Number(Rule):
    """A quantity or a unit price."""

    column: str
    decimal: Decimals = "."


class Amount(Rule):
    """Money: a column, or what price × quantity × (1 − discount) comes to."""

    column: str | None = None
    price: str | None = None
    quantity: str | None = None
    discount: str | None = None
    minor: bool = False
    """Whether the column holds minor units (cents) already."""
    decimal: Decimals = "."
    rounding: Rounding | None = None
    """How more digits than the currency has are rounded. None: such a row is quarantined, unless the amount is computed."""

    @model_validator(mode="after")
    def _column_or_product(self) -> Self:
        if (self.column is None) == (self.price is None or self.quantity is None):
            raise ValueError("give either a column, or price and quantity (and perhaps discount)")
        return self

    @property
    def rounds(self) -> Rounding | None:
        """The rounding rule that holds: a computed amount always has one."""
        return self.rounding or (None if self.column else Rounding.HALF_UP)


class Day(Rule):
    """A date: a column with its format (strptime; `excel` for the serial numbers of spreadsheets), if it is text."""

    column: str
    format: str | None = None


def _short(field: str) -> BeforeValidator:
    """`amount = "net"` is short for `amount = { column = "net" }`."""
    return BeforeValidator(lambda value: {field: value} if isinstance(value, str) else value)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
ShortText = Annotated[Text, _short("column")]
ShortNumber = Annotated[Number, _short("column")]


class Columns(Rule):
    """Which columns of a source are which fields."""

    key: Names
    party: ShortText | None = None
    item: ShortText | None = None
    date: Annotated[Day, _short("column")] | None = None
    amount: Annotated[Amount, _short("column")] | None = None
    currency: ShortText | None = None
    quantity: ShortNumber | None = None
    unit: ShortText | None = None
    price: ShortNumber | None = None
    status: ShortText | None = None
    reference: ShortText | None = None
    group: ShortText | None = None
    """A second key, by which rows belong together: the order of an order line, the delivery of an invoice."""

    def named(self) -> set[str]:
        """The fields that are there."""
        return {name for name in FIELDS if getattr(self, name) is not None}


class Filter(Rule):
    """Which rows take part: those whose column is one of some values, or none of them. Others are counted as left out."""

    column: str
    is_in: tuple[str | int, ...] | None = Field(default=None, alias="in")
    not_in: tuple[str | int, ...] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.is_in is None) == (self.not_in is None):
            raise ValueError("give either in or not_in")
        return self


class Secret(Rule):
    """A value that stands in the environment and not in the file."""

    env: str


class Replace(Rule):
    """A regular expression (RE2) and what takes the place of each hit; `\\1` is the first group."""

    find: str
    replace: str = ""


Step = Literal["trim", "upper", "leading_zeros", "punctuation"]


class Keys(Rule):
    """How keys are written alike before they are compared; the steps run in the order of `normalise`."""

    prefixes: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    regexp: Replace | None = None
    normalise: tuple[Step, ...] = ()
    """First the prefixes are taken off and the expression is applied, then these."""


class Side(Rule):
    """One of the two sides: where its rows come from and what they mean."""

    name: str = ""
    source: str | None = None
    """A file or glob: CSV, Parquet, Excel."""
    database: str | Secret | None = None
    """A URL: postgresql://, mysql://, sqlite:///; with `table` or `query`."""
    hub: (
        Literal["orders", "order_lines", "shipments", "invoices", "invoice_lines", "credit_memos", "payments"] | None
    ) = None
    """Documents of the hub itself."""
    table: str | None = None
    query: str | None = None
    columns: Columns
    filters: tuple[Filter, ...] = Field(default=(), alias="filter")
    keys: Keys | None = None
    """How this side's keys are normalised, where the two sides differ in it."""
    sign: Literal[1, -1] = 1
    """−1 where this side writes amounts and quantities with the other sign."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.source, self.database, self.hub)) > 1:
            raise ValueError("give one of source, database and hub")
        if (self.database is not None) != ((self.table is not None) != (self.query is not None)):
            raise ValueError("a database needs either a table or a query, and only a database takes one")
        return self


class Kind(StrEnum):
    """How many rows of the one side belong to how many of the other."""

    ONE_TO_ONE = "one_to_one"
    ONE_TO_MANY = "one_to_many"
    MANY_TO_ONE = "many_to_one"
    MANY_TO_MANY = "many_to_many"


class Tolerance(Rule):
    """How far amounts may be apart: within any one of these is near enough. Absolute ones are in major units of the currency."""

    absolute: Decimal = Field(default=Decimal(0), ge=0)
    percent: Decimal = Field(default=Decimal(0), ge=0, le=100)
    """Of the larger amount."""
    per_line: Decimal = Field(default=Decimal(0), ge=0)
    """Times the number of rows on the side with more of them."""


class Days(Rule):
    """How many days the right date may lie before or after the left one."""

    before: int = Field(default=0, ge=0)
    after: int = Field(default=0, ge=0)


class Fuzzy(Rule):
    """Names that are alike by Jaro-Winkler, among rows whose name begins alike and that agree in `on`."""

    field: Literal["party", "reference", "key", "item"]
    at_least: float = Field(default=0.92, gt=0, le=1)
    first_letters: int = Field(default=2, ge=1, le=10)


class Match(Rule):
    """One rule of matching; the rules are tried in order, each on what the ones before left over."""

    name: str
    kind: Kind = Kind.ONE_TO_ONE
    on: Annotated[tuple[FieldName, ...], BeforeValidator(_listed)] = ("key",)
    """Fields that must be equal, and by which rows are found."""
    compare: tuple[FieldName, ...] | None = None
    """Fields that must agree besides; by default currency, amount, quantity, price, status and party where both have them."""
    tolerance: Tolerance = Tolerance()
    days: Days | None = None
    contained: Literal["left_key_in_right_reference", "right_key_in_left_reference"] | None = None
    fuzzy: Fuzzy | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind is not Kind.ONE_TO_ONE and (self.fuzzy or self.contained):
            raise ValueError("fuzzy and contained are for one_to_one")
        if self.fuzzy and self.contained:
            raise ValueError("give either fuzzy or contained")
        if not self.on and not (self.fuzzy or self.contained):
            raise ValueError("on must name a field")
        return self


class Statuses(Rule):
    """Which statuses of the left agree with which of the right."""

    left: Annotated[tuple[str, ...], BeforeValidator(_listed)]
    right: Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Conversion(Rule):
    """All money in one currency, by a table of rates: so many of `to` for one of the other."""

    to: Currency
    rates: dict[Currency, Annotated[Decimal, Field(gt=0)]]


class CauseKind(StrEnum):
    """The four kinds of root cause."""

    DATA_QUALITY = "data_quality"
    PROCESS_DESIGN = "process_design"
    MISSING_API = "missing_api"
    WEAK_ORCHESTRATION = "weak_orchestration"


class Cause(Rule):
    """What a break is put down to when all conditions hold; the first cause whose conditions hold is taken."""

    name: str
    kind: CauseKind
    when: tuple[Condition, ...] = Field(min_length=1)
    confidence: float = Field(gt=0, le=1)
    evidence: str
    """What a person reads; {field} stands for what the break says of it."""
    correction: str


class Limits(Rule):
    """What the run may find at most; more makes it fail with an exit code of its own."""

    breaks: int | None = Field(default=None, ge=0)
    breaks_percent: float | None = Field(default=None, ge=0, le=100)
    """Of the rows of both sides."""
    money_at_risk: Decimal | None = Field(default=None, ge=0)
    """In major units, of each currency by itself."""
    quarantined: int | None = Field(default=None, ge=0)
    unexplained: int | None = Field(default=None, ge=0)
    """Breaks without a root cause."""


class Output(Rule):
    """Which files are written beside the breaks in Parquet and the summary in JSON."""

    csv: bool = False
    matches: bool = False
    """What matched what, by which rule: as many rows as matched."""


class Rules(Rule):
    """A whole rules file."""

    name: str
    description: str = ""
    version: int = Field(default=1, ge=1)
    currency: Currency = "USD"
    """Of money on a side that has no column of currency."""
    left: Side
    right: Side
    keys: Keys = Keys()
    matches: tuple[Match, ...] = Field(alias="match", min_length=1)
    statuses: tuple[Statuses, ...] = Field(default=(), alias="status")
    units: dict[str, Annotated[Decimal, Field(gt=0)]] = Field(default_factory=dict)
    """How many of the smallest unit one of each unit is: CS = 12."""
    currencies: Conversion | None = None
    causes: tuple[Cause, ...] = Field(default=(), alias="cause")
    standard_causes: bool = True
    """Whether the causes that come with Tallystick are tried after those of the file."""
    tax_rates: tuple[Decimal, ...] = ()
    """In percent: differences of just so much are a matter of tax."""
    pack_sizes: tuple[int, ...] = (6, 10, 12, 24, 48, 50, 100, 144, 1000)
    """Quantities that differ by just such a factor are a matter of the unit of measure."""
    limits: Limits = Limits()
    output: Output = Output()

    def misfits(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What fits the form but not the rest of the file: where, and what is wrong."""
        named = {"left": self.left.columns.named(), "right": self.right.columns.named()}
        for index, match in enumerate(self.matches):
            needed = {*match.on, *(match.compare or ())} | ({"date"} if match.days else set())
            needed |= {match.fuzzy.field} if match.fuzzy else set()
            for side, names in named.items():
                if missing := sorted(needed - names - {"currency"}):
                    yield ("match", index), f"needs {', '.join(missing)}, which {side}.columns does not name"
            if match.contained:
                owner = match.contained.split("_in_")[1].removesuffix("_reference")
                if "reference" not in named[owner]:
                    yield ("match", index, "contained"), f"needs reference, which {owner}.columns does not name"

    @property
    def many_currencies(self) -> bool:
        """Whether a row's currency is its own, and not the same for all."""
        columns = (self.left.columns.currency, self.right.columns.currency)
        return self.currencies is None and any(each is not None and each.column is not None for each in columns)

    def compared(self, match: Match) -> tuple[str, ...]:
        """The fields that must agree for `match` besides those it finds rows by."""
        if match.compare is not None:
            return tuple(each for each in match.compare if each not in match.on)
        both = self.left.columns.named() & self.right.columns.named()
        grouped = match.kind is not Kind.ONE_TO_ONE
        fields = ("amount",) if grouped else ("amount", "quantity", "price", "status", "party")
        if self.left.columns.currency or self.right.columns.currency:
            fields = ("currency", *fields)
            both.add("currency")
        fuzzy = match.fuzzy.field if match.fuzzy else ""
        return tuple(each for each in fields if each in both and each not in match.on and each != fuzzy)
