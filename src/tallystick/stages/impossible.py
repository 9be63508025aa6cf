"""Why what a channel or a person asks of a transaction can't be done now."""

from __future__ import annotations


class NotFound(Exception):
    """There is no such object for this principal."""


class VersionConflict(Exception):
    """Somebody changed the transaction since it was read."""


class NotPossible(Exception):
    """The transaction is past the point where this can be done; the message says why and what to do instead."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
