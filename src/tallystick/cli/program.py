"""The program: every command, in the order in which --help shows them, and how errors end it."""

from __future__ import annotations

import sys
from importlib import import_module

from tallystick.cli.application import app
from tallystick.cli.failure import CommandFailed
from tallystick.cli.terminal import complain
from tallystick.settings import SettingsError

# Each registers its commands when it is imported.
COMMANDS = (
    "demo",
    "sandbox",
    "settings_file",
    "running",
    "database",
    "keys",
    "orders",
    "transactions",
    "exceptions",
    "messages",
    "systems",
    "statements",
    "assess",
    "reconcile",
    "runs",
    "run_breaks",
    "cash",
    "cash_suggestions",
)


def main() -> None:
    """The program's entry point; every expected error is one line on stderr."""
    for name in COMMANDS:
        import_module(f"tallystick.cli.{name}")
    try:
        app()
    except CommandFailed as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except SettingsError as error:
        complain(str(error))
        sys.exit(2)
