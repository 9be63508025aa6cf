"""The open items while payments are applied to them: by customer with the oldest first, by number, and by amount."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tallystick.books.cash.items import OpenItem


class Ledger:
    """Raises ValueError for an item that is there already, or owes nothing."""

    def __init__(self, items: Iterable[OpenItem]) -> None:
        self._items: dict[tuple[str, str], OpenItem] = {}
        self._by_customer: dict[tuple[str, str], dict[str, OpenItem]] = defaultdict(dict)
        self._by_amount: dict[tuple[str, int], dict[tuple[str, str], OpenItem]] = defaultdict(dict)
        for item in sorted(items, key=lambda each: (each.issued_on, each.number)):
            if (item.customer_id, item.number) in self._items:
                raise ValueError(f"item {item.number!r} of customer {item.customer_id!r} is there twice")
            if item.open_amount <= 0:
                raise ValueError(f"item {item.number!r} of customer {item.customer_id!r} owes nothing")
            self._put(item)

    def __iter__(self) -> Iterator[OpenItem]:
        return iter(list(self._items.values()))

    def current(self, item: OpenItem) -> OpenItem | None:
        """The item as it is now; None when it is settled."""
        return self._items.get((item.customer_id, item.number))

    def of(self, customer_id: str, currency: str) -> list[OpenItem]:
        """A customer's items, the oldest first."""
        return list(self._by_customer[customer_id, currency].values())

    def owing(self, amount: int, currency: str) -> list[OpenItem]:
        """Everybody's items of this very amount."""
        return list(self._by_amount[currency, amount].values())

    def settle(self, customer_id: str, number: str, amount: int) -> None:
        """Take an amount off an item; what owes nothing any more is gone."""
        item = self._items.pop((customer_id, number))
        del self._by_amount[item.currency, item.open_amount][customer_id, number]
        left = item.open_amount - amount
        if left < 0:
            raise ValueError(f"item {number!r} of customer {customer_id!r} owes {item.open_amount}, not {amount}")
        if left:
            # A discount is for paying the whole at once.
            self._put(replace(item, open_amount=left, discount=0, discount_until=None))
        else:
            del self._by_customer[customer_id, item.currency][number]

    def settle_at_most(self, customer_id: str, number: str, amount: int) -> None:
        """The same for as much as is owed; an item that is not there, or not any more, is left alone."""
        item = self._items.get((customer_id, number))
        if item is not None:
            self.settle(customer_id, number, min(amount, item.open_amount))

    def _put(self, item: OpenItem) -> None:
        key = (item.customer_id, item.number)
        self._items[key] = item
        self._by_customer[item.customer_id, item.currency][item.number] = item
        self._by_amount[item.currency, item.open_amount][key] = item
