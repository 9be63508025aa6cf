"""The command line: run, worker, sandbox, demo, and what operators and analysts do from a terminal."""

from tallystick.cli.program import main

__all__ = ["main"]
