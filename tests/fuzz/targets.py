"""All readers of outside data, room by room: a campaign against one need not import the libraries of the others."""

import importlib
from functools import cache

from tests.fuzz.contract import Target

ROOMS = (
    *("of_telemetry", "of_artefacts", "of_datasets", "of_models"),
    *("of_twin", "of_fleet", "of_serving", "of_blueprints"),
)


@cache
def in_room(room: str) -> dict[str, Target]:
    """Return the targets of a room by name."""
    return {target.name: target for target in importlib.import_module(f"tests.fuzz.{room}").targets()}


def everywhere() -> list[tuple[str, Target]]:
    """Return every target with its room."""
    return [(room, target) for room in ROOMS for target in in_room(room).values()]
