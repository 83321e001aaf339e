"""The catalogue's file: read, checked figure by figure, and made into parts.

A file is TOML: `[sources]`, then one table a part, such as ``[gpu.mine]``, whose figures are
``{ is = "700 W", by = "…" }``. Each figure has a unit and a source, or it is refused by its name and value. What the
figures mean is `parts`' to say.

>>> import tomllib
>>> made = catalogue(
...     tomllib.loads('''
... [sources]
... bench = { status = "measured", where = "our own bench" }
... [gpu.mine]
... memory_bytes = { is = "16 GiB", by = "bench" }
... memory_bandwidth_bytes_s = { is = "1 TB/s", by = "bench" }
... flops_dense.bf16 = { is = "50 TFLOPS", by = "bench" }
... tdp_watts = { is = "250 W", by = "bench" }
... ''')
... )
>>> made["gpu"]["mine"].tdp_watts, made["gpu"]["mine"].sources["tdp_watts"]
(250.0, 'our own bench')
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import quantities
from aifactory_lab.twin.parts import Cdu, Gpu, Link, Node, Part, Ports, Rack, Unit

KINDS: dict[str, type[Part]] = {
    "gpu": Gpu,
    "node": Node,
    "rack": Rack,
    "unit": Unit,
    "link": Link,
    "nic": Ports,
    "switch": Ports,
    "cdu": Cdu,
}
STATUSES = ("source", "secondary", "measured", "memory")
TEXTS = ("title", "aliases", "gpu", "holds")
GROUPS = {"flops_dense": "flops_dense", "flops_sparse": "sparse"}
FORMATS = ("fp4", "fp8", "bf16", "fp16", "tf32", "fp64", "int8")
# No GPU multiplies a narrower format faster than so many times a wider one: more means that one figure is a sparse one.
FASTEST = (("fp8", "bf16", 2.1), ("int8", "bf16", 2.1), ("fp4", "fp8", 3.3), ("bf16", "tf32", 2.1))
ZERO = ("liquid_share",)  # the only figures that may be nought
WHOLE = ("gpus", "cpus", "trays", "switch_trays", "count", "ports", "per_gpu", "nvlink_gpus")
MEND = '{ is = "700 W", by = "sheet" }  # and under [sources]: sheet = { status = "source", where = "https://…" }'

Parts = dict[str, dict[str, Part]]


def catalogue(told: Mapping[str, Any], *, where: str = "the catalogue") -> Parts:
    """Return the parts by kind and name, aliases included.

    Raises
    ------
    TwinError
        Naming the figure and its value, if it has no source or unit, is not positive, or a part lacks one.
    """
    sources = _sources(told.get("sources", {}), where)
    unknown = set(told) - set(KINDS) - {"sources"}
    if unknown:
        msg = f"{where} has {', '.join(sorted(unknown))}, which is no kind of part; there are: {', '.join(KINDS)}"
        raise TwinError(msg, mend="[gpu.mine]")
    parts: Parts = {kind: {} for kind in KINDS}
    for kind, known in parts.items():
        for name, entry in tabled(told.get(kind, {}), f"{where}: {kind}").items():
            here = f"{where}: {kind}.{name}"
            aliases = _texts(name, tabled(entry, here), here)
            part = _part(kind, name, entry, sources, where)
            known.update(dict.fromkeys((name, *aliases), part))
    return parts


def tabled(value: Any, where: str) -> Mapping[str, Any]:
    """Return a table of the file.

    Raises
    ------
    TwinError
        If it is anything else.
    """
    if not isinstance(value, Mapping):
        msg = f"{where} is {str(value)[:60]!r}, not a table"
        raise TwinError(msg, mend="[gpu.mine]")
    return value


def _texts(name: str, entry: Mapping[str, Any], here: str) -> list[str]:
    """Return a part's aliases, once it is known that whatever should be text is text."""
    aliases = entry.get("aliases", [])
    texts = [entry[key] for key in TEXTS if key in entry and key != "aliases"]
    if not isinstance(aliases, list) or not all(isinstance(text, str) for text in (*texts, *aliases)):
        msg = f"{here}: {', '.join(TEXTS)} are text, aliases a list of it"
        raise TwinError(msg, mend=f'title = "{name}"')
    return aliases


def _sources(told: Mapping[str, Any], where: str) -> dict[str, tuple[str, str]]:
    found = {}
    for key, source in told.items():
        status, place = (tabled(source, f"{where}: source {key!r}").get(word) for word in ("status", "where"))
        if status not in STATUSES or not place:
            msg = (
                f"{where}: source {key!r} has status={status!r} and where={place!r}; statuses are {', '.join(STATUSES)}"
            )
            raise TwinError(msg, mend=f'{key} = {{ status = "source", where = "https://…" }}')
        found[key] = (str(place), str(status))
    return found


def _part(kind: str, name: str, entry: Mapping[str, Any], sources: Mapping[str, tuple[str, str]], where: str) -> Part:
    here = f"{where}: {kind}.{name}"
    made: dict[str, Any] = {key: entry[key] for key in TEXTS if key in entry and key != "aliases"}
    given, states = {}, {}
    for field, figure in _figures(entry):
        value, source = _figure(f"{here}.{field}", field, figure, sources)
        group, _, form = field.partition(".")
        if form:
            made.setdefault(GROUPS[group], {})[form] = value
        else:
            made[field] = value
        given[field], states[field] = source
    _complete(KINDS[kind], made, here)
    _all_dense(made.get("flops_dense", {}), here)
    if made.get("idle_watts", 0) >= made.get("tdp_watts", float("inf")):
        msg = f"{here} has idle_watts = {made['idle_watts']:g} W, not below tdp_watts = {made['tdp_watts']:g} W"
        raise TwinError(msg, mend="idle_watts is what it draws when nothing runs")
    return KINDS[kind](name=name, sources=given, statuses=states, **made)


def _figures(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field, figure in entry.items():
        if field in GROUPS and isinstance(figure, dict):
            yield from ((f"{field}.{form}", inner) for form, inner in figure.items())
        elif field not in TEXTS:
            yield field, figure


def _figure(
    here: str, field: str, figure: Any, sources: Mapping[str, tuple[str, str]]
) -> tuple[float, tuple[str, str]]:
    if not isinstance(figure, dict) or "is" not in figure:
        msg = f"{here} = {figure!r} is a figure without a unit and a source"
        raise TwinError(msg, mend=MEND)
    if str(figure.get("by")) not in sources:
        said = "names no source" if "by" not in figure else f"names the source {figure['by']!r}, which is not listed"
        msg = f"{here} = {figure['is']!r} {said}"
        raise TwinError(msg, mend=MEND)
    try:
        value = quantities.read(figure["is"], quantities.dimension(field))
    except TwinError as error:
        msg = f"{here}: {error.what}"
        raise TwinError(msg, mend=error.mend) from error
    if value < 0 or (value == 0 and field not in ZERO):
        msg = f"{here} = {figure['is']!r} must be positive"
        raise TwinError(msg, mend=MEND)
    if (field in WHOLE and value != int(value)) or (field == "liquid_share" and value > 1):
        msg = f"{here} = {figure['is']!r} must be {'a share of 0 to 1' if field in ZERO else 'a whole number'}"
        raise TwinError(msg, mend=MEND)
    return value, sources[figure["by"]]


def _complete(kind: type[Part], made: Mapping[str, Any], here: str) -> None:
    known = {each.name for each in fields(kind)}
    required = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    lacking, strange = required - set(made) - {"name"}, set(made) - known
    strange |= set(made.get("flops_dense", {})) - set(FORMATS) | set(made.get("sparse", {})) - set(FORMATS)
    if lacking or strange:
        said = (
            f"lacks {', '.join(sorted(lacking))}" if lacking else f"has {', '.join(sorted(strange))}, which nobody asks"
        )
        msg = f"{here} {said}"
        raise TwinError(msg, mend=f"figures of it are: {', '.join(sorted(known - {'name', 'sources', 'statuses'}))}")


def _all_dense(flops: Mapping[str, float], here: str) -> None:
    for narrow, wide, most in FASTEST:
        if narrow in flops and wide in flops and flops[narrow] > most * flops[wide]:
            times = flops[narrow] / flops[wide]
            msg = f"{here} has flops_dense.{narrow} = {flops[narrow]:g}, {times:.3g} times its {wide}'s {flops[wide]:g}"
            raise TwinError(msg, mend="one of them is a figure with sparsity: give half of it")
