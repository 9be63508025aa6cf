"""Connects the sandbox's warehouse."""

from tallystick.systems.sandbox_wms.connector import connect

__all__ = ["connect"]
