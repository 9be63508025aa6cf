"""Logs as structured events on stderr: lines for people at a terminal, JSON for machines."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(*, level: str = "info", json: bool | None = None) -> None:
    """Set logging up for this process; JSON unless stderr is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # logs are rare, and a kept logger would write to a stream that was closed
    )
