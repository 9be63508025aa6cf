"""What the sandbox distributor trades: the ERP's masters, the orders of its channels, and what is wrong with some of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import cycle

from tallystick.demo.wholesale import Buyer, Part, SoldOrder, Wholesale
from tallystick.documents.order import Charge, Order, OrderLine
from tallystick.documents.party import Address, Customer
from tallystick.documents.product import Price, PriceKind, Product
from tallystick.sandbox.payments.plans import PayingKind
from tallystick.sandbox.tax.rates import built_in_rates
from tallystick.sandbox.tryton.masters import Masters
from tallystick.sandbox.wms.plans import ShippingKind

CURRENCY = "USD"
WAREHOUSE = "MAIN"
CHANNELS = ("field-sales", "webshop", "edi")
_CENT = Decimal("0.01")
_FEWEST_FOR_TROUBLE = 10
_ORDERS_A_TROUBLE = 50
# The distributor sells in the United States: each of TPC-H's 25 nations stands for one state.
_STATES = (
    "CA", "NY", "TX", "FL", "IL", "PA", "OH", "GA", "NC", "MI", "NJ", "VA", "WA",
    "AZ", "MA", "TN", "IN", "MO", "MD", "WI", "CO", "MN", "SC", "AL", "OR",
)  # fmt: skip
_SHIPPING = (
    *(ShippingKind.COMPLETE,) * 6,
    *(ShippingKind.PARTIAL_THEN_REST,) * 3,
    *(ShippingKind.TWO_PARCELS,) * 2,
    *(ShippingKind.TWO_SHIPMENTS,) * 2,
    ShippingKind.PARTIAL_FINAL,
)
_PAYING = (
    *(PayingKind.FULL,) * 8,
    *(PayingKind.LATE,) * 2,
    *(PayingKind.TWO_PARTS,) * 2,
    PayingKind.SHORT,
    PayingKind.OVER,
)


class Trouble(StrEnum):
    """What is wrong with an order when it comes in."""

    UNKNOWN_CUSTOMER = "unknown customer"
    STALE_PRICE = "stale price"
    OVER_CREDIT_LIMIT = "over the credit limit"
    UNKNOWN_SHIP_TO = "unknown ship-to"
    NOT_ENOUGH_STOCK = "not enough stock"


@dataclass(frozen=True, slots=True)
class Sale:
    """One order as its channel sends it, and how the warehouse and the customer will treat it."""

    order: Order
    shipping: ShippingKind
    paying: PayingKind
    trouble: Trouble | None = None
    corrected: Order | None = None
    """What a clerk makes of it; none: it can't be corrected by a clerk."""


@dataclass(frozen=True, slots=True)
class Trade:
    """The masters that the orders need, and the orders."""

    masters: Masters
    sales: tuple[Sale, ...]


def make_trade(wholesale: Wholesale, seed: int) -> Trade:
    """Orders at agreed prices, some of them with a trouble; the same for the same data and seed."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible mixture, no secret
    contracts = _contracts(wholesale)
    sales = [_sale(order, wholesale, contracts, index) for index, order in enumerate(wholesale.orders)]
    each = len(sales) // _ORDERS_A_TROUBLE + 1 if len(sales) >= _FEWEST_FOR_TROUBLE else 0
    chosen = chance.sample(range(len(sales)), each * len(Trouble))
    masters = _Book(wholesale, contracts, sales)
    for index, trouble in zip(chosen, cycle(Trouble)):
        sales[index] = _troubled(sales[index], trouble, masters)
    shipping, paying = list(_SHIPPING), list(_PAYING)
    chance.shuffle(shipping)
    chance.shuffle(paying)
    planned = [
        replace(sale, shipping=how, paying=payment) for sale, how, payment in zip(sales, cycle(shipping), cycle(paying))
    ]
    return Trade(masters.masters(), tuple(planned))


def tax_of(order: Order, region: str) -> int:
    """Sales tax in minor units as a diligent channel quotes it: each line at the state's rate, rounded half up."""
    rate = built_in_rates()[f"US-{region}"]
    return sum(_rounded(line.net_amount(order.currency, order.rounding) * rate) for line in order.lines)


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def _customer_id(key: int) -> str:
    return f"C-{key:06}"


def _product_id(key: int) -> str:
    return f"P-{key:06}"


def _contracts(wholesale: Wholesale) -> dict[tuple[str, str], Decimal]:
    """TPC-H's discounts as what they are at a distributor: a contract price of one customer for one product."""
    agreed: dict[tuple[str, str], Decimal] = {}
    for order in wholesale.orders:
        for line in order.lines:
            if line.discount:
                price = wholesale.parts[line.part].retail_price * (1 - line.discount)
                key = (_customer_id(order.customer), _product_id(line.part))
                agreed.setdefault(key, price.quantize(_CENT, ROUND_HALF_UP))
    return agreed


def _sale(sold: SoldOrder, wholesale: Wholesale, contracts: Mapping[tuple[str, str], Decimal], index: int) -> Sale:
    customer_id = _customer_id(sold.customer)
    channel = CHANNELS[index % len(CHANNELS)]
    lines = tuple(
        OrderLine(
            line_number=line.number,
            product_id=_product_id(line.part),
            quantity=line.quantity,
            unit_price=contracts.get((customer_id, _product_id(line.part)), wholesale.parts[line.part].retail_price),
            description=wholesale.parts[line.part].name,
        )
        for line in sold.lines
    )
    charges = (Charge(code="FREIGHT", description="Freight", amount=1_500 + 10 * len(lines)),) if index % 3 == 0 else ()
    order = Order(
        channel=channel,
        order_number=f"{channel.upper()}-{sold.key}",
        customer_po=f"{sold.clerk}/{sold.key}",
        customer_id=customer_id,
        currency=CURRENCY,
        ordered_at=datetime.now(UTC),
        requested_delivery=datetime.now(UTC).date() + timedelta(days=3),
        payment_terms="NET30",
        ship_to=_address(wholesale.buyers[sold.customer]),
        lines=lines,
        charges=charges,
    )
    return Sale(totalled(order), ShippingKind.COMPLETE, PayingKind.FULL)


def totalled(order: Order) -> Order:
    """An order with the tax its channel quotes and the total it states."""
    region = order.ship_to.region if order.ship_to and order.ship_to.region else _STATES[0]
    tax = tax_of(order, region)
    return order.model_copy(update={"tax_amount": tax, "total_amount": order.net_amount + tax})


def _address(buyer: Buyer) -> Address:
    return Address(
        id=f"{_customer_id(buyer.key)}-DOCK",
        name=buyer.name,
        street=f"{buyer.key} Market Street",
        city="Springfield",
        postal_code=f"{10_000 + buyer.key % 80_000:05}",
        region=_STATES[buyer.nation % len(_STATES)],
    )


class _Book:
    """The masters in the making; troubles add customers and products that stand in the ERP as sales wishes they did not."""

    def __init__(
        self, wholesale: Wholesale, contracts: Mapping[tuple[str, str], Decimal], sales: Sequence[Sale]
    ) -> None:
        self._parts = {_product_id(part.key): part for part in wholesale.parts.values()}
        self._contracts = dict(contracts)
        self._products = {key: Product(id=key, name=part.name) for key, part in self._parts.items()}
        self._list_prices = {key: part.retail_price for key, part in self._parts.items()}
        self._stock = {key: Decimal(_on_hand(part)) for key, part in self._parts.items()}
        self._customers = {
            _customer_id(buyer.key): Customer(
                id=_customer_id(buyer.key), name=buyer.name, payment_terms="NET30", ship_to=(_address(buyer),)
            )
            for buyer in wholesale.buyers.values()
        }
        self._limits: dict[str, int] = {}
        for sale in sales:
            customer = sale.order.customer_id
            self._limits[customer] = self._limits.get(customer, 0) + 3 * (sale.order.total_amount or 0)

    def add_poor_customer(self, order: Order) -> str:
        """A twin of the order's customer whose credit limit is half of the order; its id."""
        twin = f"{order.customer_id}-B"
        original = self._customers[order.customer_id]
        self._customers[twin] = original.model_copy(update={"id": twin, "name": f"{original.name} Branch"})
        self._limits[twin] = (order.total_amount or 0) // 2
        for (customer, product), price in list(self._contracts.items()):
            if customer == order.customer_id:
                self._contracts[twin, product] = price
        return twin

    def add_scarce_product(self, line: OrderLine) -> str:
        """A twin of the line's product of which half as much is there as the line wants; its id."""
        twin = f"{line.product_id}-S"
        self._products[twin] = Product(id=twin, name=f"{self._products[line.product_id].name} (scarce)")
        self._list_prices[twin] = line.unit_price
        self._stock[twin] = Decimal(int(line.quantity) // 2)
        return twin

    def masters(self) -> Masters:
        """Everything as the ERP's owner loads it."""
        return Masters(
            customers=tuple(self._customers.values()),
            credit_limits=self._limits,
            products=tuple(self._products.values()),
            list_prices=self._list_prices,
            contract_prices=tuple(self._prices()),
            stock=self._stock,
        )

    def _prices(self) -> Iterator[Price]:
        for (customer, product), price in self._contracts.items():
            yield Price(
                product_id=product,
                kind=PriceKind.CONTRACT,
                customer_id=customer,
                currency=CURRENCY,
                unit_price=price,
            )


def _on_hand(part: Part) -> int:
    return max(part.available, 1)


def _troubled(sale: Sale, trouble: Trouble, book: _Book) -> Sale:
    order = sale.order
    first, *rest = order.lines
    match trouble:
        case Trouble.UNKNOWN_CUSTOMER:
            wrong = order.model_copy(update={"customer_id": f"{order.customer_id}-OLD"})
            return replace(sale, order=wrong, trouble=trouble)
        case Trouble.STALE_PRICE:
            old = (first.unit_price * Decimal("0.95")).quantize(_CENT, ROUND_HALF_UP)
            stale = first.model_copy(update={"unit_price": old})
            wrong = totalled(order.model_copy(update={"lines": (stale, *rest)}))
            return replace(sale, order=wrong, trouble=trouble, corrected=order)
        case Trouble.OVER_CREDIT_LIMIT:
            wrong = order.model_copy(update={"customer_id": book.add_poor_customer(order)})
            return replace(sale, order=wrong, trouble=trouble)
        case Trouble.UNKNOWN_SHIP_TO:
            address = (
                order.ship_to.model_copy(update={"id": "NEW-DOCK", "street": "1 Elsewhere"}) if order.ship_to else None
            )
            return replace(sale, order=order.model_copy(update={"ship_to": address}), trouble=trouble, corrected=order)
        case Trouble.NOT_ENOUGH_STOCK:
            scarce = first.model_copy(update={"product_id": book.add_scarce_product(first)})
            return replace(sale, order=order.model_copy(update={"lines": (scarce, *rest)}), trouble=trouble)


def today() -> date:
    """The day on which the distributor trades."""
    return datetime.now(UTC).date()
