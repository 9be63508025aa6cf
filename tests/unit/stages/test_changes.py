"""Several changes of one transaction are one: nothing of either is lost."""

from __future__ import annotations

from uuid import uuid4

from tallystick.documents.transaction import CommitmentState, FulfilmentState
from tallystick.stages.transactions import TransactionChange


def test_amounts_of_two_changes_add_up_and_the_later_word_holds() -> None:
    transaction = uuid4()
    first = TransactionChange(
        transaction, commitment=CommitmentState.COMMITTED, fulfilment=FulfilmentState.PARTIAL, shipped=100, paid=40
    )
    second = TransactionChange(transaction, fulfilment=FulfilmentState.COMPLETE, paid=60, invoiced=7)
    assert first.and_then(second) == TransactionChange(
        transaction,
        commitment=CommitmentState.COMMITTED,
        fulfilment=FulfilmentState.COMPLETE,
        shipped=100,
        invoiced=7,
        paid=100,
    )
