"""The command line: run, worker, sandbox, demo, and what operators and analysts do from a terminal."""

from tallystick.cli.application import main

__all__ = ["main"]
