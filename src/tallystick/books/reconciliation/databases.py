"""Tables and queries of other databases, read into the engine in batches of Arrow; nothing goes through Python row by row
where there is a driver that can do without."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis
import pyarrow

from tallystick.books.reconciliation.engine import Engine
from tallystick.books.sources.failure import SourceError

_BATCH_ROWS = 50_000
_CONNECT_SECONDS = 10


def load_query(engine: Engine, name: str, url: str, query: str) -> ibis.Table:
    """The rows of a query as table `name` of the engine, numbered as they came. Raises SourceError with the database's words."""
    scheme = url.partition("://")[0]
    try:
        if scheme in ("postgresql", "postgres"):
            return _through_adbc(engine, name, url, query, "postgresql")
        if scheme == "sqlite":
            return _through_adbc(engine, name, url.removeprefix("sqlite:///"), query, "sqlite")
        if scheme in ("mysql", "mariadb"):
            return _from_mysql(engine, name, url, query)
    except SourceError:
        raise
    except Exception as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"the database answers: {first}") from error
    raise SourceError(f"{scheme}:// is no database we can read; there are postgresql://, mysql:// and sqlite:///")


def _through_adbc(engine: Engine, name: str, url: str, query: str, driver: str) -> ibis.Table:
    dbapi: Any = import_module(f"adbc_driver_{driver}.dbapi")
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return _keep(engine, name, cursor.fetch_record_batch())


def _keep(engine: Engine, name: str, batches: Any) -> ibis.Table:
    """The batches as a table with numbered rows; they are numbered as they come, and kept with their numbers."""
    plain = _plain(batches)
    engine.connection.register("arriving", plain)
    try:
        engine.connection.execute(
            f'create or replace temp table "{name}" as select *, row_number() over () as "__row" from arriving'
        )
    finally:
        engine.connection.unregister("arriving")
    return engine.backend.table(name, database=("temp", "main"))


def _plain(batches: Any) -> Any:
    """The same without types that the engine does not know: a driver's own, such as PostgreSQL's numeric, are texts beneath."""
    schema = pyarrow.schema(
        [pyarrow.field(each.name, getattr(each.type, "storage_type", each.type)) for each in batches.schema]
    )
    if schema == batches.schema:
        return batches

    def beneath() -> Iterator[Any]:
        for batch in batches:
            columns = [getattr(each, "storage", each) for each in batch.columns]
            yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)

    return pyarrow.RecordBatchReader.from_batches(schema, beneath())


def _from_mysql(engine: Engine, name: str, url: str, query: str) -> ibis.Table:
    import pymysql
    from pymysql.cursors import SSCursor

    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname or "localhost",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/") or None,
        cursorclass=SSCursor,
        connect_timeout=_CONNECT_SECONDS,
        sql_mode="ANSI_QUOTES",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        schema = pyarrow.schema([(each[0], _mysql_type(each[1])) for each in cursor.description])
        return _keep(engine, name, pyarrow.RecordBatchReader.from_batches(schema, _mysql_batches(cursor, schema)))


def _mysql_type(code: int) -> Any:
    from pymysql.constants import FIELD_TYPE as MYSQL

    if code in (MYSQL.TINY, MYSQL.SHORT, MYSQL.INT24, MYSQL.LONG, MYSQL.LONGLONG, MYSQL.YEAR):
        return pyarrow.int64()
    if code in (MYSQL.FLOAT, MYSQL.DOUBLE):
        return pyarrow.float64()
    if code in (MYSQL.DATE, MYSQL.NEWDATE):
        return pyarrow.date32()
    if code in (MYSQL.DATETIME, MYSQL.TIMESTAMP):
        return pyarrow.timestamp("us")
    return pyarrow.string()


def _mysql_batches(cursor: Any, schema: Any) -> Iterator[Any]:
    while rows := cursor.fetchmany(_BATCH_ROWS):
        columns = []
        for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True):
            texts = pyarrow.types.is_string(kind)
            columns.append(pyarrow.array([_as_text(each) for each in values] if texts else values, type=kind))
        yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
