"""What an incident does to a plant, in words: what falls out, what takes over, and what is not touched at all.

Numbers of a day are not known here, only what stands where.

>>> from aifactory_lab.twin.plant import Plant
>>> places = Places.of(Plant(gpus=64, chassis="dgx-h100"), tp=8)
>>> effect(places, Incident("leaf", at_hours=1))
'serving goes on as before: no replica leaves its NVLink domain, so none uses the compute fabric'
"""

import math

import numpy as np

from aifactory_lab.twin.operations.incidents import Incident, lost
from aifactory_lab.twin.operations.places import Places


def effect(places: Places, incident: Incident) -> str:
    """Return what an incident does, had it come alone."""
    if incident.kind in {"gpu", "node", "rack"}:
        return _machines(places, incident)
    if incident.kind in {"leaf", "spine"}:
        return _switches(places, incident)
    if incident.kind in {"cdu", "fan"}:
        return _coolers(places, incident)
    if incident.kind == "grid":
        return "all GPUs get one cap, so that the site keeps to it: clocks fall as far as their work needs"
    return "the cooling works against warmer air: more power and water, and where it cannot keep the water cool, clocks"


def _machines(places: Places, incident: Incident) -> str:
    gone, _ = lost(places.plant, [incident])
    down = np.flatnonzero(~places.standing(gone))
    serving = places.serving_chassis * places.plant.gpus_per_chassis
    said = []
    if len(down):
        which = f"replica {down[0]}" if len(down) == 1 else f"replicas {down[0]} to {down[-1]}"
        said.append(f"{which} of {places.count} out; requests in flight are sent again and wait the longer")
    if gone[serving:].any():
        said.append("the training job stops, goes back to its last checkpoint, and goes on without the chassis")
    return "; ".join(said) or "no replica and no job uses it: nothing changes"


def _switches(places: Places, incident: Incident) -> str:
    said = "serving goes on as before: no replica leaves its NVLink domain, so none uses the compute fabric"
    if places.training_chassis:
        level = "leaves" if incident.kind == "leaf" else "spines"
        left = places.plant.fabric.after(**{level: incident.count}).slowest
        said += f"; the training job restarts, and its slowest node has {left:.0%} of its bandwidth left"
    return said


def _coolers(places: Places, incident: Incident) -> str:
    plant = places.plant
    if incident.kind == "cdu":
        there, each, share = plant.cdus, plant.cdu_part.capacity_watts, plant.part.liquid_share
    else:
        there, each, share = plant.air_units, plant.air_unit_watts, 1 - plant.part.liquid_share
    left = (there - incident.count) * each
    most = plant.max_watts * share
    said = (
        f"{there - incident.count} of {there} go on and take {left / 1e6:.3g} MW; full load makes {most / 1e6:.3g} MW"
    )
    if left >= most:
        return f"nothing happens: {said}"
    return f"{said}, so GPUs are capped at about {math.floor(100 * left / most)} % of the heat of full load"
