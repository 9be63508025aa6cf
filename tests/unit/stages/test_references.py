"""References that are written into other systems' documents find their transaction again, and nothing else does."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tallystick.stages.references import (
    invoice_reference,
    order_reference,
    payment_reference,
    return_reference,
    shipment_reference,
    transaction_of,
    warehouse_reference,
)


def test_every_reference_names_its_transaction_and_no_two_are_alike() -> None:
    transaction_id = uuid4()
    made = [
        order_reference(transaction_id),
        shipment_reference(transaction_id, "7"),
        invoice_reference(transaction_id, "7"),
        payment_reference(transaction_id, "7"),
        return_reference(transaction_id, "7"),
        warehouse_reference(transaction_id, 2),
    ]
    assert {transaction_of(each) for each in made} == {transaction_id}
    assert len(set(made)) == len(made)
    assert transaction_of(str(transaction_id)) == transaction_id
    assert warehouse_reference(transaction_id, 1) == order_reference(transaction_id)


@pytest.mark.parametrize("text", ["", "TS-", "TS-xyz", "SO-1", "TS-1234", "x" * 300, "TS-" + "z" * 32])
def test_what_is_no_reference_of_ours_names_none(text: str) -> None:
    assert transaction_of(text) is None
