"""Products, their prices and their stock, as the systems of record keep them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tallystick.documents.money import Currency
from tallystick.documents.values import Day, Document, Identifier, ShortText, StockQuantity, UnitPrice


class Product(Document):
    """Something sold, in its base unit of measure."""

    id: Identifier
    name: ShortText
    unit: Identifier = "EA"
    active: bool = True
    taxable: bool = True
    gtin: Identifier | None = None


class PriceKind(StrEnum):
    """Where a price comes from; a promotion may beat a contract, a contract always goes before the list."""

    CONTRACT = "contract"
    PROMOTION = "promotion"
    LIST = "list"


class Price(Document):
    """One price of a product: for whom, from which quantity, in which days. The bounds are inclusive."""

    product_id: Identifier
    kind: PriceKind = PriceKind.LIST
    customer_id: Identifier | None = None
    """Set on a contract price; promotions may be for one customer or for all."""
    price_list: Identifier | None = None
    currency: Currency
    unit: Identifier = "EA"
    unit_price: UnitPrice
    minimum_quantity: Annotated[StockQuantity, Field(ge=0)] = Decimal(0)
    valid_from: Day | None = None
    valid_to: Day | None = None


class StockLevel(Document):
    """What one warehouse can promise of one product: on hand less what is promised already."""

    product_id: Identifier
    warehouse: Identifier
    available: StockQuantity
