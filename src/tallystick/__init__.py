"""Tallystick keeps what sales promised and what finance booked in agreement, and proves it."""

from importlib.metadata import version

__version__ = version("tallystick")
