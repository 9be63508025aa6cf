"""Canonical business documents: pure, immutable data that every other room speaks in; it imports nothing of ours."""
