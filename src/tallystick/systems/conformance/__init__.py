"""The conformance kit: what every connector of a role must pass, run with pytest against the real system.

Subclass the role's class in a test module, give it a `scenario` fixture, and pytest does the rest:

    from tallystick.systems.conformance.erp import ErpConformance
    from tallystick.systems.conformance.erp_scenario import ErpScenario

    class TestOurErp(ErpConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def scenario(cls) -> ErpScenario: ...

The tests are asynchronous: set `asyncio_mode = "auto"` for pytest-asyncio. docs/how-to/new-connector.md tells the rest.
"""

from __future__ import annotations

import pytest

# The kit's asserts must explain themselves as a test module's own do; this has to come before its modules are imported.
_MODULES = "accepted crm erp_desk erp_goods erp_money erp_orders erp_reads erp_scenario erp_trouble erp_writes tax verdicts wms"
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _MODULES.split()))
