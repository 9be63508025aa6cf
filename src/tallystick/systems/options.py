"""The settings every HTTP connector takes, so that they are named and checked alike; connectors add their own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from tallystick.systems.http import HttpClient


class HttpOptions(BaseModel):
    """Where a system is, how to sign in, and how long to wait for it. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: HttpUrl
    token: SecretStr | None = None
    """Sent as a bearer token; in the file write {env = "NAME"}."""
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    read_timeout: float = Field(default=15.0, gt=0, le=600)
    """Longest silence while an answer is awaited."""
    deadline: float = Field(default=60.0, gt=0, le=3_600)
    """Longest time for one whole call."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Most calls at once from one worker."""
    batch_size: int = Field(default=100, ge=1, le=1_000)
    """Most items in one write."""

    def client(self, system: str) -> HttpClient:
        """A client for this system with these settings."""
        return HttpClient(
            system,
            str(self.url),
            token=self.token,
            secrets=[each for _, each in self if isinstance(each, SecretStr)],
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            deadline=self.deadline,
            connections=self.concurrency,
        )
