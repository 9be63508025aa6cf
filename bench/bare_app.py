"""The limit that intake is measured against: a FastAPI application that validates the same order and inserts it, nothing else.

python -m bench.bare_app DATABASE_URL PORT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI

from tallystick.documents.order import Order
from tallystick.store.identifiers import new_id

PATH = "/orders"
TABLE = "bare_orders"
_POOL_SIZE = 8
"""As many connections as Tallystick's pool has by default."""
_SETUP = (
    f"create table if not exists {TABLE} (id uuid primary key, order_number text not null unique, body jsonb not null)"
)


def create_app(url: str) -> FastAPI:
    """The application over the database at `url`."""
    pool: asyncpg.Pool[asyncpg.Record]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal pool
        async with asyncpg.create_pool(url, min_size=_POOL_SIZE, max_size=_POOL_SIZE) as pool:
            await pool.execute(_SETUP)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post(PATH, status_code=201)
    async def create_order(order: Order) -> dict[str, str]:
        identifier = new_id()
        await pool.execute(
            f"insert into {TABLE} (id, order_number, body) values ($1, $2, $3)",
            identifier,
            order.order_number,
            order.model_dump_json(exclude_none=True),
        )
        return {"id": str(identifier)}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
