"""Connects the sandbox's tax service."""

from tallystick.systems.sandbox_tax.connector import connect

__all__ = ["connect"]
