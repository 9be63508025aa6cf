"""Settings of a Tryton connection: where it is, who signs in, and which of its records the connector uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, SecretStr, model_validator

from tallystick.systems.options import HttpOptions


class TrytonOptions(HttpOptions):
    """The connection and the names of the masters in Tryton that orders need beside customers and products."""

    database: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    user: str = Field(min_length=1)
    """Login of the integration user; its company is the one that sells."""
    password: SecretStr
    """Its password; in the file write {env = "NAME"}."""
    read_timeout: float = Field(default=60.0, gt=0, le=600)
    deadline: float = Field(default=120.0, gt=0, le=3_600)
    batch_size: int = Field(default=50, ge=1, le=1_000)
    warehouse: str = "MAIN"
    """Our name of the warehouse that order lines are sold from which name none."""
    warehouses: Mapping[str, str] = Field(default_factory=dict)
    """Our names of Tryton's warehouses, each with its code or name there; none: there is one, and `warehouse` is its name."""
    tax_account: str = "2.2.3"
    """Code of the account that takes the sales tax which the tax service computed."""
    payment_journal: str = "Bank"
    """Name of the statement journal in which received payments are booked."""
    discount_account: str | None = None
    """Code of the account that takes early-payment discounts; without it none is booked, and the invoice stays open with it."""
    price_digits: int = Field(default=6, ge=2, le=12)
    """Decimals of unit prices in Tryton (`price_decimal` in its configuration)."""

    @model_validator(mode="after")
    def _sells_from_one_of_them(self) -> Self:
        if self.warehouses and self.warehouse not in self.warehouses:
            raise ValueError(f"warehouse: {self.warehouse!r} is none of warehouses: {', '.join(self.warehouses)}")
        return self
