"""Connects the sandbox's CRM."""

from tallystick.systems.sandbox_crm.connector import connect

__all__ = ["connect"]
