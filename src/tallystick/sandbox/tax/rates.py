"""The tax service's table: a rate by country or country-region, every change a new version, stale ones on demand.

The built-in rates are general rates of states and countries, for play: no advice, no local surtaxes, not kept up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tallystick.documents.values import Fraction, Identifier

Jurisdiction = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[^\x00-\x1f\x7f]{1,140})?$")]
"""COUNTRY or COUNTRY-REGION, such as US-CA."""

_UNITED_STATES = {
    **{
        "AL": "0.04",
        "AK": "0",
        "AZ": "0.056",
        "AR": "0.065",
        "CA": "0.0725",
        "CO": "0.029",
        "CT": "0.0635",
        "DC": "0.06",
    },
    **{"DE": "0", "FL": "0.06", "GA": "0.04", "HI": "0.04", "ID": "0.06", "IL": "0.0625", "IN": "0.07", "IA": "0.06"},
    **{"KS": "0.065", "KY": "0.06", "LA": "0.05", "ME": "0.055", "MD": "0.06", "MA": "0.0625", "MI": "0.06"},
    **{"MN": "0.06875", "MS": "0.07", "MO": "0.04225", "MT": "0", "NE": "0.055", "NV": "0.0685", "NH": "0"},
    **{"NJ": "0.06625", "NM": "0.04875", "NY": "0.04", "NC": "0.0475", "ND": "0.05", "OH": "0.0575", "OK": "0.045"},
    **{
        "OR": "0",
        "PA": "0.06",
        "RI": "0.07",
        "SC": "0.06",
        "SD": "0.042",
        "TN": "0.07",
        "TX": "0.0625",
        "UT": "0.0485",
    },
    **{"VT": "0.06", "VA": "0.053", "WA": "0.065", "WV": "0.06", "WI": "0.05", "WY": "0.04"},
}
_COUNTRIES = {
    **{"AT": "0.20", "AU": "0.10", "BE": "0.21", "CA": "0.05", "CA-BC": "0.12", "CA-ON": "0.13", "CA-QC": "0.14975"},
    **{
        "CH": "0.081",
        "DE": "0.19",
        "DK": "0.25",
        "ES": "0.21",
        "FI": "0.255",
        "FR": "0.20",
        "GB": "0.20",
        "IE": "0.23",
    },
    **{"IT": "0.22", "JP": "0.10", "MX": "0.16", "NL": "0.21", "NO": "0.25", "NZ": "0.15", "PL": "0.23", "PT": "0.23"},
    **{"SE": "0.25"},
}


def built_in_rates() -> dict[str, Decimal]:
    """The table a server starts with unless its settings bring another."""
    states = {f"US-{state}": Decimal(rate) for state, rate in _UNITED_STATES.items()}
    return states | {country: Decimal(rate) for country, rate in _COUNTRIES.items()}


class RateSettings(BaseModel):
    """The service's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rates: dict[Jurisdiction, Fraction] = Field(default_factory=built_in_rates)
    """Replaces the built-in table: {"US-CA": "0.0725", "DE": "0.19"}."""
    default_rate: Fraction | None = Decimal(0)
    """Where the table has neither region nor country; none: such an order is refused."""
    untaxed_products: frozenset[Identifier] = frozenset()
    """Goods on which there is no tax anywhere."""


class Rate(BaseModel):
    """A rate as a fraction, and which version of it this is (1 is the first)."""

    jurisdiction: str
    rate: Decimal
    version: int
    stale: bool = False
    """True while a fault makes the service answer by an old version."""


class RateTable:
    """Rates with all their versions; changed by records only, so that a journal can rebuild it."""

    def __init__(self, settings: RateSettings) -> None:
        self._versions: dict[str, list[Decimal]] = {key: [rate] for key, rate in settings.rates.items()}
        self._default = settings.default_rate
        self._stale: dict[str, int] = {}
        self.untaxed: set[str] = set(settings.untaxed_products)
        """Ids of goods on which there is no tax."""

    def find(self, country: str, region: str | None) -> Rate | None:
        """The rate in force for a region, else its country, else the default; None when there is none."""
        keys = [f"{country}-{region}", country] if region else [country]
        for key in keys:
            if key in self._versions:
                return self._in_force(key)
        if self._default is None:
            return None
        return Rate(jurisdiction=keys[0], rate=self._default, version=1)

    def all(self) -> list[Rate]:
        """Every rate in force, by jurisdiction."""
        return [self._in_force(key) for key in sorted(self._versions)]

    def versions(self, jurisdiction: str) -> int:
        """How many versions a jurisdiction has had; 0: it is not in the table."""
        return len(self._versions.get(jurisdiction, ()))

    def apply(self, record: Mapping[str, Any]) -> None:
        """Change the table by one record, live or from the journal."""
        match record["record"]:
            case "rate":
                self._versions.setdefault(record["jurisdiction"], []).append(Decimal(record["rate"]))
            case "stale":
                self._stale[record["jurisdiction"]] = record["version"]
            case "fresh":
                self._stale.pop(record["jurisdiction"], None)
            case "product":
                (self.untaxed.discard if record["taxable"] else self.untaxed.add)(record["product_id"])

    def _in_force(self, key: str) -> Rate:
        versions = self._versions[key]
        version = self._stale.get(key, len(versions))
        return Rate(jurisdiction=key, rate=versions[version - 1], version=version, stale=key in self._stale)
