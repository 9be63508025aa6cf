"""All settings in one place: `tallystick.toml`, secrets from the environment, and one clear line when something is wrong."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tallystick.documents.money import MAXIMUM_MINOR

SETTINGS_FILE = "tallystick.toml"


class SettingsError(Exception):
    """A setting is missing or wrong. The message is one line: file, setting, value, and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Database(_Section):
    """Where PostgreSQL is. Without a URL an embedded server runs in `data_folder`."""

    url: SecretStr | None = None
    data_folder: Path = Path("tallystick-data")
    pool_size: int = Field(default=8, ge=2, le=200)


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


class Policy(_Section):
    """An entity's rules for its orders. Amounts in minor units, tolerances as fractions (0.01 is one percent)."""

    deadline_seconds: float = Field(default=3.0, gt=0, le=60)
    """One deadline for all checks of an order together."""
    customer: FactsPolicy = FactsPolicy()
    price: FactsPolicy = FactsPolicy()
    tax: FactsPolicy = FactsPolicy(source="live")
    inventory: FactsPolicy = FactsPolicy()
    credit: FactsPolicy = FactsPolicy()
    disabled_checks: frozenset[str] = frozenset()
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

    @property
    def options(self) -> dict[str, Any]:
        """The connector's own options."""
        return dict(self.model_extra or {})


class Settings(_Section):
    """Everything `tallystick.toml` may say."""

    database: Database = Database()
    server: Server = Server()
    worker: Worker = Worker()
    retention: Retention = Retention()
    systems: Mapping[str, SystemSettings] = Field(default_factory=dict)
    entities: Mapping[str, Entity] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _systems_exist(self) -> Settings:
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
            if name not in os.environ:
                raise SettingsError(f"{where}: environment variable {name} is not set; export it or change the setting")
            return SecretStr(os.environ[name])
        return {key: _resolve_secrets(each, f"{where}.{key}" if where else key) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolve_secrets(each, f"{where}[{index}]") for index, each in enumerate(value)]
    return value


def parse_settings(data: dict[str, Any], origin: str = SETTINGS_FILE) -> Settings:
    """Validate settings given as data. Raises SettingsError with one line that names file, setting and value."""
    try:
        resolved = _resolve_secrets(data, "")
        url = os.environ.get("TALLYSTICK_DATABASE_URL")
        if url:
            resolved.setdefault("database", {})["url"] = SecretStr(url)
        return Settings.model_validate(resolved)
    except SettingsError as error:
        raise SettingsError(f"{origin}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        shown = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise SettingsError(f"{origin}: {where}: {first['msg']}{shown}{more}") from None


def load_settings(path: Path | None = None) -> Settings:
    """Read settings from `path`, else from TALLYSTICK_SETTINGS, else from ./tallystick.toml, else the defaults.

    Raises SettingsError with one line when the file is missing (only if named), not TOML, or has a wrong value.
    """
    named = path or (Path(os.environ["TALLYSTICK_SETTINGS"]) if "TALLYSTICK_SETTINGS" in os.environ else None)
    file = named or Path(SETTINGS_FILE)
    if not file.exists():
        if named:
            raise SettingsError(f"{file}: no such settings file")
        return parse_settings({}, "defaults")
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from None
    return parse_settings(data, str(file))
