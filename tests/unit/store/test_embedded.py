"""URLs of other databases on the same server."""

from __future__ import annotations

import pytest

from tallystick.store.embedded import with_database


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("postgresql://u:p@h:5432/a", "b", "postgresql://u:p@h:5432/b"),
        ("postgresql://u@h/a?sslmode=require", "b", "postgresql://u@h/b?sslmode=require"),
        ("postgresql://postgres:@/postgres?host=/tmp/x/y", "b", "postgresql://postgres:@/b?host=/tmp/x/y"),
        ("postgresql://u@h/a", "odd name/?", "postgresql://u@h/odd%20name%2F%3F"),
    ],
)
def test_the_rest_of_the_url_stays(url: str, name: str, expected: str) -> None:
    assert with_database(url, name) == expected
