"""What comes before what it follows, such as a payment before its invoice: set aside, and taken up again by itself.

It is a dead letter with an exception, so that a person sees it and may act; but every change of its transaction makes it
ready again, and the exception closes when it went through. Nothing polls, and being early burns no attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from tallystick.control.exceptions import early_messages
from tallystick.documents.transaction import Transaction
from tallystick.mailbox.dead_letters import replay_messages
from tallystick.store.pool import Connection
from tallystick.systems.failure import Rejected


class Early(Rejected):
    """It can't be done as the transaction stands now; a later state of the transaction may let it pass."""

    kind = "early"

    def __init__(self, message: str, *, system: str, code: str, transaction: Transaction) -> None:
        super().__init__(message, system=system, code=code)
        self.version = transaction.version
        """The transaction's, when this was judged."""


async def take_up_early(connection: Connection, transaction_ids: Sequence[UUID]) -> None:
    """Make ready what was set aside of transactions that have just changed; call it under their rows' locks."""
    messages = await early_messages(connection, transaction_ids) if transaction_ids else []
    if messages:
        await replay_messages(connection, messages)
