"""The ERP kit whole: subclass ErpConformance with a `scenario` fixture, and pytest runs every part of it."""

from __future__ import annotations

from tallystick.systems.conformance.erp_goods import ErpGoods
from tallystick.systems.conformance.erp_money import ErpMoney
from tallystick.systems.conformance.erp_orders import ErpOrders
from tallystick.systems.conformance.erp_reads import ErpReads
from tallystick.systems.conformance.erp_scenario import Desk, ErpScenario
from tallystick.systems.conformance.erp_trouble import ErpTrouble

__all__ = ["Desk", "ErpConformance", "ErpScenario"]


class ErpConformance(ErpReads, ErpOrders, ErpGoods, ErpMoney, ErpTrouble):
    """Everything an ERP connector must pass."""
