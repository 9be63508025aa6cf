"""The tax service as an HTTP server: orders in, tax out; rates can be changed, and made stale to see what happens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Response
from pydantic import Field

from tallystick.documents.values import Document, Fraction, Identifier
from tallystick.sandbox.batches import item, item_problem, items_answer
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.journal import Journal
from tallystick.sandbox.options import Options
from tallystick.sandbox.server import create_server, problem
from tallystick.sandbox.tax.calculation import Calculation, Calculations, calculate
from tallystick.sandbox.tax.rates import Jurisdiction, Rate, RateSettings, RateTable

_DESCRIPTION = """A simulated tax service.

Tax = rate × net amount of each line, rounded to whole minor units by the rule the order names (half up unless it says half
even); the order's tax is the sum of its lines'. The jurisdiction is COUNTRY-REGION, else COUNTRY, else the default rate.
It stores no orders."""


class NewRate(Document):
    """A rate as a fraction: 0.0725 is 7.25 percent."""

    rate: Fraction


class StaleVersion(Document):
    """Which old version to answer by."""

    version: Annotated[int, Field(ge=1)] = 1


class TaxServer:
    """The rates with their journal."""

    def __init__(self, options: Options) -> None:
        self.journal = Journal(options.state_file)
        self.rates = RateTable(RateSettings.model_validate(options.settings))

    def restore(self) -> None:
        """Take up the journal."""
        for record in self.journal.replay():
            self.rates.apply(record)

    def change(self, record: dict[str, Any]) -> None:
        """Change the rates by one record and keep it."""
        self.rates.apply(record)
        self.journal.append([record])

    def answer(self, asked: Calculation) -> dict[str, Any]:
        """One order's answer."""
        calculated = calculate(asked, self.rates)
        if calculated is None:
            where = f"{asked.country}-{asked.region}" if asked.region else asked.country
            return item_problem(422, "tax.unknown_jurisdiction", f"there is no rate for {where}; PUT /rates/{where}")
        return item(200, calculated)


def create_app(options: Options) -> FastAPI:
    """The server. Its settings are those of `RateSettings`."""
    server = TaxServer(options)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.restore()
        yield
        server.journal.close()

    return create_server("Sandbox tax service", _DESCRIPTION, options, Faults(), [_routes(server)], lifespan)


def _routes(server: TaxServer) -> APIRouter:
    router = APIRouter(tags=["tax"])

    @router.post("/v1/calculations")
    async def calculate_tax(calculations: Calculations) -> Response:
        """The tax of each order: 200 an item, or 422 when its jurisdiction has no rate."""
        return items_answer([server.answer(asked) for asked in calculations.items])

    @router.get("/rates")
    async def list_rates() -> list[Rate]:
        """Every rate in force, with its version."""
        return server.rates.all()

    @router.put("/rates/{jurisdiction}")
    async def put_rate(jurisdiction: Jurisdiction, new: NewRate) -> list[Rate]:
        """A new version of a rate."""
        server.change({"record": "rate", "jurisdiction": jurisdiction, "rate": str(new.rate)})
        return _rate(jurisdiction)

    @router.put("/stale/{jurisdiction}")
    async def make_stale(jurisdiction: Jurisdiction, stale: StaleVersion) -> list[Rate]:
        """Fault: answer by an old version of this rate, as a service does that was not updated."""
        if stale.version > server.rates.versions(jurisdiction):
            had = server.rates.versions(jurisdiction)
            raise problem(422, "tax.unknown_version", f"{jurisdiction} has {had} versions, {stale.version} is not one")
        server.change({"record": "stale", "jurisdiction": jurisdiction, "version": stale.version})
        return _rate(jurisdiction)

    @router.delete("/stale/{jurisdiction}")
    async def make_fresh(jurisdiction: Jurisdiction) -> list[Rate]:
        """Answer by the newest version again."""
        server.change({"record": "fresh", "jurisdiction": jurisdiction})
        return _rate(jurisdiction)

    @router.put("/untaxed/{product_id}")
    async def untax(product_id: Identifier) -> list[str]:
        """There is no tax on this product, wherever it goes; answers with all such products."""
        server.change({"record": "product", "product_id": product_id, "taxable": False})
        return sorted(server.rates.untaxed)

    @router.delete("/untaxed/{product_id}")
    async def tax_again(product_id: Identifier) -> list[str]:
        """This product is taxed as all others; answers with those that are not."""
        server.change({"record": "product", "product_id": product_id, "taxable": True})
        return sorted(server.rates.untaxed)

    def _rate(jurisdiction: str) -> list[Rate]:
        return [rate for rate in server.rates.all() if rate.jurisdiction == jurisdiction]

    return router
