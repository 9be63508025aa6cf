"""What is owed and what came in, as cash application sees them. All amounts are minor units of the currency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tallystick.documents.remittance import Remittance


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An invoice that is not wholly paid."""

    number: str
    """The invoice's, as the customer knows it."""
    customer_id: str
    currency: str
    open_amount: int
    """What is still owed of it; positive."""
    issued_on: date
    discount: int = 0
    """What may be taken off when it is paid by `discount_until`."""
    discount_until: date | None = None

    def discounted(self, paid_on: date) -> int | None:
        """What settles it when it is paid that day with the early-payment discount; None when none is allowed any more."""
        if not self.discount or self.discount_until is None or paid_on > self.discount_until:
            return None
        return self.open_amount - self.discount


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came in. Which customer sent it is known where the account it came from, or a lockbox, says so."""

    id: str
    """Unique for ever; the same id is never applied twice."""
    amount: int
    currency: str
    paid_on: date
    texts: tuple[str, ...] = ()
    """Everything that the payer or the bank wrote: references, remittance, remittance advices."""
    customer_id: str | None = None
    advice: Remittance | None = None
    """The remittance advice that belongs to it."""
    surely_advised: bool = False
    """Whether the advice's trace ties it to the payment; otherwise only the amount does."""
    payer: str | None = None
    """Who sent it, in the bank's words."""
    payer_account: str | None = None
    doubt: str | None = None
    """Why it may be no new money, such as a line like it in a file of another format; then nothing of it posts by itself."""
