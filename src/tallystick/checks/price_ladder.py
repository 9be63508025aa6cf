"""Which price holds for a quantity: the rule itself, and the ladder of steps it makes, so that a line takes one look-up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tallystick.documents.product import Price, PriceKind


class Tier(NamedTuple):
    """One price as the checks hold many of them: for whom and which product is where it lies. The bounds are inclusive."""

    kind: str
    price_list: str | None
    currency: str
    unit: str
    unit_price: Decimal
    minimum_quantity: Decimal = Decimal(0)
    valid_from: date | None = None
    valid_to: date | None = None


def tier_of(price: Price) -> Tier:
    """A price document as a tier."""
    return Tier(
        price.kind.value,
        price.price_list,
        price.currency,
        price.unit,
        price.unit_price,
        price.minimum_quantity,
        price.valid_from,
        price.valid_to,
    )


def applicable_price(
    tiers: Sequence[Tier], *, quantity: Decimal, unit: str, currency: str, on: date, price_list: str | None
) -> Tier | None:
    """The price that holds: contract before the customer's list before the list for all, the highest quantity break reached;
    a lower promotion beats them."""
    valid = [
        each
        for each in tiers
        if each.currency == currency
        and each.unit == unit
        and each.minimum_quantity <= quantity
        and (each.valid_from is None or each.valid_from <= on)
        and (each.valid_to is None or on <= each.valid_to)
        and (each.price_list is None or each.price_list == price_list)
    ]
    promotion = min(
        (each for each in valid if each.kind == PriceKind.PROMOTION), key=lambda each: each.unit_price, default=None
    )
    standing = _highest_break([each for each in valid if each.kind == PriceKind.CONTRACT]) or _highest_break(
        [each for each in valid if each.kind == PriceKind.LIST and each.price_list is not None]
        or [each for each in valid if each.kind == PriceKind.LIST]
    )
    if promotion and (standing is None or promotion.unit_price < standing.unit_price):
        return promotion
    return standing


def _highest_break(tiers: Sequence[Tier]) -> Tier | None:
    return max(tiers, key=lambda each: (each.minimum_quantity, -each.unit_price), default=None)


class Ladder:
    """The price by quantity, as steps: `applicable_price` at each quantity from which another price may hold."""

    __slots__ = ("_only", "_prices", "_starts")

    def __init__(self, tiers: Sequence[Tier], *, unit: str, currency: str, on: date, price_list: str | None) -> None:
        self._starts = sorted({each.minimum_quantity for each in tiers})
        self._prices = [
            applicable_price(tiers, quantity=start, unit=unit, currency=currency, on=on, price_list=price_list)
            for start in self._starts
        ]
        self._only = self._prices[0] if self._starts and self._starts[0] == 0 and len(self._prices) == 1 else None

    def price(self, quantity: Decimal) -> Tier | None:
        """What `applicable_price` says for this quantity."""
        if self._only is not None:
            return self._only
        step = bisect_right(self._starts, quantity)
        return self._prices[step - 1] if step else None


LadderKey = tuple[str, str | None, str | None, str, str, date]
"""(product, customer where it has prices of its own, price list, currency, unit, day)."""


class PriceSheet:
    """Prices of a batch: for everybody by product, for one customer by customer and product. `ladders` is kept between
    batches as long as the prices behind it stand."""

    def __init__(
        self,
        general: Mapping[str, Sequence[Tier]],
        own: Mapping[str, Mapping[str, Sequence[Tier]]],
        ladders: dict[LadderKey, Ladder] | None = None,
    ) -> None:
        self._general = general
        self._own = own
        self._ladders = {} if ladders is None else ladders

    def tiers(self, customer_id: str, product_id: str) -> list[Tier]:
        """All prices that may apply."""
        own = self._own.get(customer_id, {})
        return [*own.get(product_id, ()), *self._general.get(product_id, ())]

    def price(
        self,
        customer_id: str,
        price_list: str | None,
        product_id: str,
        *,
        quantity: Decimal,
        unit: str,
        currency: str,
        on: date,
    ) -> Tier | None:
        """The price that holds for a line of this customer's."""
        own = self._own.get(customer_id)
        owner = customer_id if own and product_id in own else None
        key = (product_id, owner, price_list, currency, unit, on)
        ladder = self._ladders.get(key)
        if ladder is None:
            tiers = self.tiers(customer_id, product_id)
            ladder = Ladder(tiers, unit=unit, currency=currency, on=on, price_list=price_list)
            self._ladders[key] = ladder
        return ladder.price(quantity)
