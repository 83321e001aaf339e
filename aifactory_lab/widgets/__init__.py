"""Live boards in a notebook: GPUs, throughput, the floor, all of them on one page, a training, a fleet; twin, budget.

A board draws in the browser what samplers read in threads, and goes on while a cell computes. Nothing in the house
imports this room; it computes nothing that a figure or a test could want.

>>> from aifactory_lab import widgets
>>> widgets.__all__[:5]
['Board', 'BudgetBoard', 'CatalogBrowser', 'DesignStudio', 'FactoryFloor']
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.widgets.board import Board
    from aifactory_lab.widgets.budget import BudgetBoard
    from aifactory_lab.widgets.catalog import CatalogBrowser
    from aifactory_lab.widgets.fleet import FleetBoard
    from aifactory_lab.widgets.fleetforms import FleetForms
    from aifactory_lab.widgets.floor import FactoryFloor
    from aifactory_lab.widgets.gpus import GpuBoard
    from aifactory_lab.widgets.hall import HallView
    from aifactory_lab.widgets.mission import MissionControl
    from aifactory_lab.widgets.studio import DesignStudio
    from aifactory_lab.widgets.throughput import ThroughputBoard
    from aifactory_lab.widgets.training import TrainingBoard

_HOMES = {
    "Board": "board",
    "BudgetBoard": "budget",
    "CatalogBrowser": "catalog",
    "DesignStudio": "studio",
    "FactoryFloor": "floor",
    "FleetBoard": "fleet",
    "FleetForms": "fleetforms",
    "GpuBoard": "gpus",
    "HallView": "hall",
    "MissionControl": "mission",
    "ThroughputBoard": "throughput",
    "TrainingBoard": "training",
}
__all__ = [
    "Board",
    "BudgetBoard",
    "CatalogBrowser",
    "DesignStudio",
    "FactoryFloor",
    "FleetBoard",
    "FleetForms",
    "GpuBoard",
    "HallView",
    "MissionControl",
    "ThroughputBoard",
    "TrainingBoard",
]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
