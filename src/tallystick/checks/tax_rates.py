"""Where the tax check gets tax from: the tax service for each order, or a replica of its rates by jurisdiction.

A tax service has no list of rates to copy. The replica asks it the tax on a large round amount in each jurisdiction and keeps
the quotient, at most as long as the policy allows. It stands in only where that is honest: an order of today, going to a known
jurisdiction, of a customer without exemption; every other order is asked live. See docs/checks.md for the limits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from tallystick.documents.money import Rounding, to_minor
from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address, Customer
from tallystick.settings import FactsPolicy
from tallystick.store.pool import Pool
from tallystick.systems.failure import Failure, Unavailable
from tallystick.systems.ports import Tax, TaxAnswer

RateKey = tuple[str, str]
"""(jurisdiction, currency)."""

# Large enough for ten exact digits of a rate, small enough for every service's bounds.
_PROBE_PRICE = Decimal(10_000_000)
_ONE = Decimal(1)
_DECIMAL_ROUNDING = {Rounding.HALF_UP: ROUND_HALF_UP, Rounding.HALF_EVEN: ROUND_HALF_EVEN}
# A channel may write any region into an address: what is held of such jurisdictions is bounded.
_MOST_HELD = 10_000


class Rates:
    """One tax service's rates in memory, each with the monotonic instant at which the service was asked."""

    def __init__(self) -> None:
        self._held: dict[RateKey, tuple[Decimal, float]] = {}

    def find(self, key: RateKey, maximum_age: float) -> tuple[Decimal, float] | None:
        """A rate and its age in seconds, if it is no older than `maximum_age`."""
        found = self._held.get(key)
        if found is None:
            return None
        age = time.monotonic() - found[1]
        return (found[0], age) if age <= maximum_age else None

    def put(self, key: RateKey, rate: Decimal, age: float) -> None:
        """Hold a rate of this age."""
        if len(self._held) >= _MOST_HELD:
            self._held.clear()
        self._held[key] = (rate, time.monotonic() - age)


class TaxSource:
    """One entity's tax for one batch of orders."""

    def __init__(self, pool: Pool, system: str, tax: Tax | None, rates: Rates) -> None:
        self._pool = pool
        self._system = system
        self._tax = tax
        self._rates = rates

    async def live(self, orders: Sequence[Order], customers: Mapping[str, Customer]) -> list[TaxAnswer | Failure]:
        """The service's answer for each order. Raises its Failure when it gives none at all."""
        return list(await self._service().calculate_tax(orders, customers)) if orders else []

    def _service(self) -> Tax:
        if self._tax is None:
            raise Unavailable(f"{self._system} is not connected here as a tax service", system=self._system)
        return self._tax

    async def rates(
        self, keys: Iterable[RateKey], policy: FactsPolicy
    ) -> dict[RateKey, tuple[Decimal, float] | Failure]:
        """The rate and its age by key, or why there is none: from memory, from the replica, else from the service."""
        wanted = set(keys)
        found: dict[RateKey, tuple[Decimal, float] | Failure] = {}
        for key in wanted:
            if (held := self._rates.find(key, policy.maximum_age_seconds)) is not None:
                found[key] = held
        missing = sorted(wanted - found.keys())
        if missing:
            known = await self._read(missing, policy.maximum_age_seconds)
            for key, (rate, age) in known.items():
                self._rates.put(key, rate, age)
            found.update(known)
            found.update(await self._ask([key for key in missing if key not in known]))
        return found

    async def _read(self, keys: Sequence[RateKey], maximum_age: float) -> dict[RateKey, tuple[Decimal, float]]:
        rows = await self._pool.fetch(
            """
            select jurisdiction, currency, rate, extract(epoch from now() - refreshed_at)::float8 from replica_tax_rates
            where system = $1 and jurisdiction = any($2::text[]) and refreshed_at >= now() - make_interval(secs => $3)
            """,
            self._system,
            [jurisdiction for jurisdiction, _ in keys],
            maximum_age,
        )
        wanted = set(keys)
        return {(row[0], row[1]): (row[2], row[3]) for row in rows if (row[0], row[1]) in wanted}

    async def _ask(self, keys: Sequence[RateKey]) -> dict[RateKey, tuple[Decimal, float] | Failure]:
        if not keys:
            return {}
        try:
            answers = await self._service().calculate_tax([_probe(*key) for key in keys], {})
        except Failure as failure:
            return dict.fromkeys(keys, failure)
        found: dict[RateKey, tuple[Decimal, float] | Failure] = {}
        asked: dict[RateKey, Decimal] = {}
        for key, answer in zip(keys, answers, strict=True):
            if isinstance(answer, Failure):
                found[key] = answer
            else:
                asked[key] = Decimal(answer.total_amount) / to_minor(_PROBE_PRICE, key[1])
        await self._write(asked)
        for key, rate in asked.items():
            self._rates.put(key, rate, 0.0)
            found[key] = (rate, 0.0)
        return found

    async def _write(self, rates: Mapping[RateKey, Decimal]) -> None:
        await self._pool.execute(
            """
            insert into replica_tax_rates (system, jurisdiction, currency, rate)
            select $1, * from unnest($2::text[], $3::text[], $4::numeric[])
            on conflict (system, jurisdiction, currency) do update set rate = excluded.rate, refreshed_at = now()
            """,
            self._system,
            [jurisdiction for jurisdiction, _ in rates],
            [currency for _, currency in rates],
            list(rates.values()),
        )


def destination(order: Order, customer: Customer | None) -> Address | None:
    """Where the order goes: its ship-to, completed from the customer's record of it, else the customer's first."""
    known = customer.ship_to if customer else ()
    wanted = order.ship_to
    if wanted is None:
        return known[0] if known else None
    if wanted.id is not None and wanted.region is None:
        return next((each for each in known if each.id == wanted.id), wanted)
    return wanted


def rate_key(order: Order, customer: Customer | None, today: date) -> RateKey | None:
    """Under which rate the replica may tax this order; None: only the service itself can say."""
    if (customer is not None and customer.tax_exempt) or order.ordered_at.date() != today:
        return None
    address = destination(order, customer)
    return (address.jurisdiction, order.currency) if address else None


def tax_at(rate: Decimal, order: Order, jurisdiction: str) -> TaxAnswer:
    """Tax at a rate, each line rounded by the order's rule, charges untaxed, as the service itself is expected to do it."""
    rounding = _DECIMAL_ROUNDING[order.rounding]
    by_line = {
        line.line_number: int((amount * rate).quantize(_ONE, rounding))
        for line, amount in zip(order.lines, order.line_amounts, strict=True)
    }
    return TaxAnswer(sum(by_line.values()), jurisdiction, by_line)


def _probe(jurisdiction: str, currency: str) -> Order:
    country, _, region = jurisdiction.partition("-")
    line = OrderLine(line_number=1, product_id="tax-rate", quantity=_ONE, unit_price=_PROBE_PRICE)
    return Order(
        channel="tallystick",
        order_number=f"tax-rate-{jurisdiction}"[:64],
        customer_id="tax-rate",
        currency=currency,
        ordered_at=datetime.now(UTC),
        ship_to=Address(country=country, region=region or None),
        lines=(line,),
    )
