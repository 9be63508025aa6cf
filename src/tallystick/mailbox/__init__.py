"""Durable messages: inbox, outbox, dispatch, retry, dead letters, replay, breakers."""
