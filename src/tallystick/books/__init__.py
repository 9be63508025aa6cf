"""Reconciliation: two sides that should agree, and the money that came in for what was owed."""
