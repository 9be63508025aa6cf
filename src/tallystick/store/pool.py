"""The connection pool and the JSON codec that every connection speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:  # generic in its type stubs only
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool


# Plans are kept, and many are made while a table is as good as empty: on an installation's first day, or of a queue that has
# just been worked off. Reading it whole looks cheap then, and is ruinous when it has grown. All but a few statements go by
# key, and those few still read the whole table, for they have no other way.
_PLANNING = {"enable_seqscan": "off", "jit": "off"}
# A process that is stopped, or cut off, between two statements of a transaction would keep its locks until it wakes: what it
# had claimed could be taken over by nobody, lease or no lease. None of ours pauses so long by itself.
_ABANDONED = {"idle_in_transaction_session_timeout": "30s"}


class JsonText(bytes):
    """JSON that is text already, in UTF-8, and is stored as it is."""

    __slots__ = ()


def encode_json(value: Any) -> str:
    """JSON text of plain data; also of UUIDs, datetimes and dataclasses; Decimals become strings so that no digit is lost."""
    return _json(value).decode()


def json_text(value: Any) -> JsonText:
    """The same as it is stored: for lists, which as elements of an array would be taken for its second dimension."""
    return JsonText(_json(value))


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


_VERSION = b"\x01"
"""Of jsonb's binary form, the only one there is: the text follows."""


def _to_jsonb(value: Any) -> bytes:
    return _VERSION + (value if type(value) is JsonText else _json(value))


def _from_jsonb(value: bytes) -> Any:
    return orjson.loads(value[1:])


def storable(value: Any) -> Any:
    """Plain data from outside, without what PostgreSQL can't hold in text or JSON: a NUL, half a surrogate pair."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value


async def _prepare(connection: Connection) -> None:
    # Binary: as text, arrays of documents would be written and read with a backslash before every quotation mark.
    await connection.set_type_codec(
        "jsonb", encoder=_to_jsonb, decoder=_from_jsonb, schema="pg_catalog", format="binary"
    )


async def _leave(_: Connection) -> None:
    """Nothing to tidy up when a connection goes back, so no statement for it, as asyncpg would send each time: whoever sets
    something for the session, or locks, takes it back."""


async def open_pool(url: str, *, size: int = 8, application: str = "tallystick") -> Pool:
    """Open a pool on `url` (postgresql://…). Raises OSError or asyncpg.PostgresError when the server can't be reached."""
    return await asyncpg.create_pool(
        url,
        min_size=min(2, size),
        max_size=size,
        init=_prepare,
        reset=_leave,
        command_timeout=60,
        server_settings={"application_name": application, "timezone": "UTC", **_PLANNING, **_ABANDONED},
    )
