"""Kept reconciliations: runs with their inputs, breaks that carry over from run to run, and periods that two people close."""
