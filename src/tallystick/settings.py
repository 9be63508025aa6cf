"""All settings in one place: `tallystick.toml`, secrets from the environment, and one clear line when something is wrong."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tallystick.documents.money import MAXIMUM_MINOR

SETTINGS_FILE = "tallystick.toml"
DATABASE_URL = "TALLYSTICK_DATABASE_URL"
_LONGEST_VALUE = 80
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it stands in addresses, routes and log lines


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line: file, setting, value, and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any) -> Any:
        # Ahead of pydantic's own refusal, which would say neither what is known nor keep the value to itself: what stands
        # under a misspelt name may be a password.
        for name in given if isinstance(given, dict) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(name, cls.model_fields, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(cls.model_fields)}"
                raise ValueError(f"there is no setting {name!r} here; {advice}")
        return given


class Database(_Section):
    """Where PostgreSQL is. Without a URL an embedded server runs in `data_folder`."""

    url: SecretStr | None = None
    data_folder: Path = Path("tallystick-data")
    pool_size: int = Field(default=8, ge=2, le=200)

    @model_validator(mode="after")
    def _is_postgresql(self) -> Self:
        # Told without the address, which may hold a password.
        if self.url is not None and not _names_postgresql(self.url.get_secret_value()):
            raise ValueError(f"url (or {DATABASE_URL}) names no PostgreSQL; write postgresql://user@host:5432/name")
        return self


def _names_postgresql(url: str) -> bool:
    parts = urlsplit(url)
    try:
        return parts.scheme in ("postgresql", "postgres") and parts.port != 0
    except ValueError:  # its port is no number
        return False


class Server(_Section):
    """The HTTP interface and its bounds."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    maximum_body_bytes: int = Field(default=5_000_000, ge=1_000, le=200_000_000)
    maximum_batch_bytes: int = Field(default=200_000_000, ge=1_000)
    """Bound on one NDJSON stream of `orders:batch`."""
    requests_per_second: float = Field(default=5_000, gt=0)
    """Rate limit for each principal; a burst of two seconds is let through."""
    request_timeout_seconds: float = Field(default=60, gt=0, le=600)
    """Longest time for one request; in an NDJSON stream, longest pause between two pieces of it."""
    docs: bool = True


class Worker(_Section):
    """How a worker claims and settles messages."""

    batch_size: int = Field(default=100, ge=1, le=1_000)
    lease_seconds: float = Field(default=60, ge=1, le=3_600)
    poll_seconds: float = Field(default=5, ge=0.05, le=60)
    """Longest sleep when nothing wakes it; new messages wake it at once."""
    maximum_attempts: int = Field(default=8, ge=1, le=100)
    """After so many a message that fails is a dead letter. While its system answers nobody, none is counted."""
    patience_hours: float = Field(default=24, gt=0)
    """A message this old has its attempts counted also while its system answers nobody."""
    backoff_seconds: float = Field(default=1, gt=0)
    """First delay; doubles with jitter at each attempt."""
    backoff_limit_seconds: float = Field(default=300, gt=0)


class Retention(_Section):
    """How long finished work is kept, in days; whole monthly partitions are dropped."""

    messages_days: int = Field(default=90, ge=1)
    lineage_days: int = Field(default=2_555, ge=1)
    audit_days: int = Field(default=2_555, ge=1)
    idempotency_days: int = Field(default=30, ge=1)


class FactsPolicy(_Section):
    """Where a check takes its facts from, and what it decides when it cannot get any."""

    source: Literal["live", "replica"] = "replica"
    maximum_age_seconds: float = Field(default=900, gt=0)
    """A replica older than this is refreshed from the system before the check uses it."""
    when_unavailable: Literal["hold", "accept", "reject"] = "hold"


CheckName = Literal["customer", "price", "tax", "inventory", "credit"]


class Policy(_Section):
    """An entity's rules for its orders. Amounts in minor units, tolerances as fractions (0.01 is one percent)."""

    deadline_seconds: float = Field(default=3.0, gt=0, le=60)
    """One deadline for all checks of an order together."""
    customer: FactsPolicy = FactsPolicy()
    price: FactsPolicy = FactsPolicy()
    tax: FactsPolicy = FactsPolicy(source="live")
    inventory: FactsPolicy = FactsPolicy()
    credit: FactsPolicy = FactsPolicy()
    disabled_checks: frozenset[CheckName] = frozenset()
    decisions: Mapping[str, Literal["accept", "hold", "reject"]] = Field(default_factory=dict)
    """Decision by reason code, where it is to differ from the check's own: {"customer.unknown" = "hold"}."""
    price_tolerance: float = Field(default=0.0, ge=0, le=1)
    price_tolerance_amount: int = Field(default=0, ge=0, le=MAXIMUM_MINOR)
    """Accepted difference of one line's extension in minor units."""
    tax_tolerance_amount: int = Field(default=1, ge=0, le=MAXIMUM_MINOR)
    backorders: Literal["allow", "hold", "reject"] = "hold"
    """What happens to an order that the warehouse cannot promise in full."""
    default_warehouse: str = "MAIN"
    wait_for_commit_seconds: float = Field(default=0.0, ge=0, le=30)
    """How long the answer to an order waits for the ERP; 0 answers right after the checks."""
    exception_due_hours: float = Field(default=24, gt=0)
    release_by_itself: bool = True
    """Whether an order that was held only for missing facts or for credit is checked again by itself, when the system
    answers or the credit hold is released."""
    overtaken_shipment_seconds: float = Field(default=10, ge=0, le=3_600)
    """How long an order's last shipment that leaves something open waits for one that left before it and was overtaken on
    the way; the ERP closes the order with the last one."""

    @model_validator(mode="after")
    def _decisions_are_about_checks(self) -> Self:
        for code in self.decisions:
            if code.partition(".")[0] not in (*get_args(CheckName), "product"):  # products are the inventory check's
                raise ValueError(
                    f"decisions: {code!r} is not a reason code; one is such as 'price.above_contract' or 'credit.over_limit'"
                )
        return self


class Entity(_Section):
    """A business unit or region: which systems play which role for it, and its policy."""

    erp: str = "erp"
    tax: str | None = None
    wms: str | None = None
    payments: str | None = None
    crm: str | None = None
    """The sales system that is told what became of its orders, for all channels without one of their own."""
    channels: Mapping[str, str] = Field(default_factory=dict)
    """Channel name to the system that is told, where it is not `crm`."""
    policy: Policy = Policy()

    def systems(self) -> set[str]:
        """Names of all systems this entity uses."""
        named = {self.erp, self.tax, self.wms, self.payments, self.crm, *self.channels.values()}
        return {name for name in named if name}


class SystemSettings(BaseModel):
    """One connected system. Options of its kind stand beside these and are checked by the connector."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    kind: str
    """Registered connector: tryton, sandbox_erp, sandbox_crm, … or one from an installed package."""
    owner: str | None = None
    """Who is asked when it is down."""
    calls_per_second: float | None = Field(default=None, gt=0)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_seconds: float = Field(default=10, gt=0)
    event_source: str | None = None
    """CloudEvents `source` under which it sends events, such as /systems/wms."""
    event_secret: SecretStr | None = None
    """Standard Webhooks secret (whsec_…) that signs its events."""
    poll_seconds: float | None = Field(default=None, gt=0)
    """How often its change feed is asked; none: never."""

    @model_validator(mode="after")
    def _events_are_signed(self) -> Self:
        # Told without the value, which would be the secret.
        if (self.event_source is None) != (self.event_secret is None):
            raise ValueError("event_source and event_secret go together: events are taken from who signs them")
        if self.event_secret is not None and not _signing_key(self.event_secret):
            raise ValueError(
                "event_secret: write whsec_ and 24 to 64 random bytes in base64, as Standard Webhooks asks"
            )
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The connector's own options."""
        return dict(self.model_extra or {})


def _signing_key(secret: SecretStr) -> bool:
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return 24 <= len(key) <= 64


class Settings(_Section):
    """Everything `tallystick.toml` may say."""

    database: Database = Database()
    server: Server = Server()
    worker: Worker = Worker()
    retention: Retention = Retention()
    systems: Mapping[str, SystemSettings] = Field(default_factory=dict)
    entities: Mapping[str, Entity] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for section, names in (("systems", self.systems), ("entities", self.entities)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{section}: {name[:_LONGEST_VALUE]!r} is no name; letters, digits, - and _ make one, 64 at most"
                    )
        sources: dict[str, str] = {}
        for name, each in self.systems.items():
            if each.event_source and sources.setdefault(each.event_source, name) != name:
                raise ValueError(
                    f"systems.{name}.event_source: {each.event_source!r} is that of {sources[each.event_source]!r} too; "
                    "each system sends its events under a source of its own"
                )
        for entity_name, entity in self.entities.items():
            for system in sorted(entity.systems() - set(self.systems)):
                raise ValueError(
                    f"entities.{entity_name} names the system {system!r}, but there is no [systems.{system}]"
                )
        return self


def _resolve_secrets(value: Any, where: str) -> Any:
    """Replace {env = "NAME"} by that environment variable as a SecretStr, anywhere in the file."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            name = value["env"]
            if not isinstance(name, str):
                raise SettingsError(f'{where}: write {{env = "NAME"}} with the name of an environment variable')
            if name not in os.environ:
                raise SettingsError(f"{where}: environment variable {name} is not set; export it or change the setting")
            return SecretStr(os.environ[name])
        return {key: _resolve_secrets(each, f"{where}.{key}" if where else key) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolve_secrets(each, f"{where}[{index}]") for index, each in enumerate(value)]
    return value


def _first_mistake(error: ValidationError) -> str:
    """The first wrong setting in one line: where, what is wrong, and the value unless it is a secret or may hold one."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    value = first["input"]
    if isinstance(value, SecretStr):
        shown = ' (got a secret; {env = "…"} is for settings that hold one)'
    elif isinstance(value, dict | list):
        shown = ""
    else:
        shown = f" (got {repr(value)[:_LONGEST_VALUE]})"
    more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{shown}{more}"


def parse_settings(data: dict[str, Any], origin: str = SETTINGS_FILE) -> Settings:
    """Validate settings given as data. Raises SettingsError with one line that names file, setting and value.

    The environment's TALLYSTICK_DATABASE_URL goes before the file's database.url.
    """
    try:
        resolved = _resolve_secrets(data, "")
        url = os.environ.get(DATABASE_URL)
        if url and isinstance(resolved.setdefault("database", {}), dict):
            resolved["database"]["url"] = SecretStr(url)
        return Settings.model_validate(resolved)
    except SettingsError as error:
        raise SettingsError(f"{origin}: {error}") from None
    except ValidationError as error:
        raise SettingsError(f"{origin}: {_first_mistake(error)}") from None


def load_settings(path: Path | None = None) -> Settings:
    """Read settings from `path`, else from TALLYSTICK_SETTINGS, else from ./tallystick.toml, else the defaults.

    Raises SettingsError with one line when the file is missing (only if named), can't be read, is not TOML, or has a wrong
    value.
    """
    named = path or (Path(os.environ["TALLYSTICK_SETTINGS"]) if os.environ.get("TALLYSTICK_SETTINGS") else None)
    file = named or Path(SETTINGS_FILE)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise SettingsError(f"{file}: no such settings file; correct --settings or TALLYSTICK_SETTINGS") from None
        return parse_settings({}, "defaults")
    except OSError as error:
        raise SettingsError(f"{file}: the settings can't be read: {error.strerror}") from None
    except ValueError as error:  # no TOML, no UTF-8, or an integer of thousands of digits
        raise SettingsError(f"{file}: not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{file}: not valid TOML: nested too deep") from None
    return parse_settings(data, str(file))
