"""Rows that control's tests need: a transaction to hang things on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool

MakeTransaction = Callable[[], Awaitable[UUID]]


@pytest.fixture
def make_transaction(pool: Pool) -> MakeTransaction:
    """Makes transactions of the entity `east`."""

    async def made() -> UUID:
        transaction_id = new_id()
        await pool.execute(
            """
            insert into transactions (id, entity, channel, order_number, customer_id, currency, intake, ordered_amount)
            values ($1, 'east', 'crm', $2, 'C-1', 'USD', 'accepted', 1000)
            """,
            transaction_id,
            transaction_id.hex,
        )
        return transaction_id

    return made
