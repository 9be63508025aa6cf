"""Connects the sandbox's payment gateway."""

from tallystick.systems.sandbox_payments.connector import connect

__all__ = ["connect"]
