"""`tallystick sandbox` starts all systems that the sandbox has."""

from __future__ import annotations

from tallystick.cli.sandbox import System
from tallystick.sandbox.options import SYSTEMS


def test_every_system_of_the_sandbox_can_be_started() -> None:
    assert tuple(System) == SYSTEMS
