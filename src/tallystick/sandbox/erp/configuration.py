"""How this ERP is set up: its own rounding, tax rate and main warehouse, given as the server's `settings`."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from tallystick.documents.money import Rounding


class Configuration(BaseModel):
    """The ERP's own rules; another rounding than the sales side's is one of the classic breaks."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rounding: Rounding = Rounding.HALF_UP
    tax_rate: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """Used for orders that come without a tax amount: 0.07 is seven percent."""
    default_warehouse: str = Field(default="MAIN", min_length=1, max_length=64)
    payment_days: int = Field(default=30, ge=0, le=365)
    """Days until an invoice is due where the terms say none (NET60 says 60)."""
