"""A file that can't be read at all; single rows that can't are quarantined instead."""

from __future__ import annotations


class SourceError(Exception):
    """A source can't be read. The message is one line: which file, what is wrong, what to do."""
