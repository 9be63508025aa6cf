"""One Tryton for all tests of this folder that ask for it."""

from __future__ import annotations

from tests.fixtures.tryton import tryton_server

__all__ = ["tryton_server"]
