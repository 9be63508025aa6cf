"""The customer and where goods go: the party data that checks compare an order with."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from tallystick.documents.money import Currency, MinorAmount
from tallystick.documents.values import CountryCode, Document, Fraction, Identifier, Instant, ShortText


class Address(Document):
    """A postal address; `id` is the system of record's own number for a known ship-to."""

    id: Identifier | None = None
    name: ShortText | None = None
    street: ShortText | None = None
    city: ShortText | None = None
    postal_code: ShortText | None = None
    region: ShortText | None = None
    """State, province or other subdivision code; together with the country it is the tax jurisdiction."""
    country: CountryCode = "US"

    @property
    def jurisdiction(self) -> str:
        """The tax jurisdiction as COUNTRY or COUNTRY-REGION."""
        return f"{self.country}-{self.region}" if self.region else self.country

    @property
    def place(self) -> str:
        """Where it is, in one line; who receives there and what it is called stay out of it."""
        parts = (self.street, self.city, self.region, self.postal_code, self.country)
        return ", ".join(part for part in parts if part)

    def names(self, known: Address) -> bool:
        """Whether a known address is meant: by the id where this one has one, else by the place, whatever the case."""
        return self.id == known.id if self.id is not None else self.place.casefold() == known.place.casefold()


class CustomerStatus(StrEnum):
    """Whether the system of record lets this customer buy."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    BLOCKED = "blocked"


class Customer(Document):
    """A customer as its system of record (the ERP) knows it."""

    id: Identifier
    name: ShortText
    status: CustomerStatus = CustomerStatus.ACTIVE
    currency: Currency = "USD"
    payment_terms: ShortText | None = None
    """Code of the agreed terms, such as NET30; an order with other terms is held."""
    price_list: Identifier | None = None
    ship_to: tuple[Address, ...] = ()
    """Known delivery addresses; empty means that any address may be shipped to."""
    tax_exempt: bool = False
    exemption_certificate: ShortText | None = None
    exemption_expires_at: Instant | None = None
    price_tolerance: Fraction | None = None
    """Accepted price difference as a fraction of our price; none means the policy's default."""
    warehouse: Identifier | None = None
    backorders_allowed: bool = True
    credit_hold: bool = False


class CreditPosition(Document):
    """What a customer owes and may owe, as finance says it. Amounts in minor units of `currency`."""

    customer_id: Identifier
    currency: Currency
    limit: MinorAmount | None = Field(default=None, description="None: no limit is set")
    open_orders: MinorAmount = 0
    open_invoices: MinorAmount = 0
    on_hold: bool = False


class CreditHold(Document):
    """Finance placed or released a credit hold on a customer."""

    customer_id: Identifier
    on_hold: bool
