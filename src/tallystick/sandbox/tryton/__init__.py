"""A real Tryton 8.2 server as the demo's and the tests' ERP: prepared once, started as a process of its own."""

from tallystick.sandbox.tryton.server import TrytonServer

__all__ = ["TrytonServer"]
