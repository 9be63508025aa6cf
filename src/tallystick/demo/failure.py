"""Why a demo could not be run at all; one line for the person who started it."""

from __future__ import annotations


class DemoError(Exception):
    """Something the demo needs is missing or did not start. The message says what, and what to do."""
