"""The questions of the design studio: what is built, what it serves, and where; read as a plant, a service, a climate.

Counts and traffic run over powers, so their sliders are logarithmic, in steps of 2 %; numbers may be typed beside them.
GPUs are rounded up to whole chassis. This module checks nothing: the twin does, in its own words.

>>> form = DesignForm()
>>> form.plant().chassis, form.service().model
('gb200-nvl72', 'llama-3-405b')
>>> form.close()
"""

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as ipw
from traitlets import TraitError

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import climate, cooling, hardware, models
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.design import Service
from aifactory_lab.twin.plant import Plant, chassis

CLIMATES: dict[str, Callable[[], Climate]] = {
    "New York, a hot day (18 July 2013)": lambda: climate.new_york("2013-07-18"),
    "New York, a cold day (23 January 2013)": lambda: climate.new_york("2013-01-23"),
    "New York, that hot day + 8 K": lambda: climate.new_york("2013-07-18").warmer(by=8),
    "steady 25 °C, half humid": lambda: climate.steady(25, humidity=0.5),
    "steady 10 °C, half humid": lambda: climate.steady(10, humidity=0.5),
}
PRECISIONS = ("bf16", "fp8", "fp4", "int8", "int4")
SIZES = [("the fewest that fit", 0), *((f"{size:,}", size) for size in (1, 2, 4, 8, 16, 32, 64))]
STYLE = {"description_width": "100px"}
# one column beside the figures, several where they stand above them
SIDE_BY_SIDE = ipw.Layout(display="grid", grid_template_columns="repeat(auto-fit, minmax(min(100%, 262px), 1fr))")
WIDE = ipw.Layout(width="auto", min_width="0")


class DesignForm(ipw.Box):  # type: ignore[misc]  # ipywidgets has no types
    """The controls; `fields` has them by name.

    Parameters
    ----------
    **given
        Values of some of them by name, to begin with.

    Attributes
    ----------
    changed
        Called whenever one of them changes.

    Raises
    ------
    TwinError
        If there is no such field, or it cannot have that value.
    """

    def __init__(self, **given: Any) -> None:
        groups = {"The plant": _building(), "What it serves": _traffic(), "Power, water, weather": _place()}
        self.fields: dict[str, Any] = {name: field for group in groups.values() for name, field in group.items()}
        self.changed: Callable[[], None] | None = None
        self.fill(**given)
        for field in self.fields.values():
            field.observe(self._on_change, "value")
        super().__init__([group(title, fields.values()) for title, fields in groups.items()], layout=SIDE_BY_SIDE)

    def plant(self) -> Plant:
        """Return the plant that is asked for.

        Raises
        ------
        TwinError
            If it cannot be.
        """
        told = self._told("water_celsius", "rejection", "chillers", "spare")
        name = self.fields["chassis"].value
        share, gpu = self.fields["cap"].value / 100, hardware.gpu(chassis(name).gpu)
        cap = None if share == 1 else share * gpu.tdp_watts
        return Plant.about(round(self.fields["gpus"].value), name, gpu_cap_watts=cap, **told)

    def service(self) -> Service:
        """Return the service that is asked for.

        Raises
        ------
        TwinError
            If it cannot be.
        """
        told = self._told("model", "precision", "ttft_ms", "tpot_ms", "training_gpus")
        rate = None if self.fields["full"].value else self.fields["requests_per_second"].value
        lengths = {name: round(self.fields[name].value) for name in ("isl", "osl")}
        return Service(requests_per_second=rate, tp=self.fields["tp"].value or None, **lengths, **told)

    def climate(self) -> Climate:
        """Return the weather."""
        return CLIMATES[self.fields["climate"].value]()

    def fill(self, **values: Any) -> None:
        """Set some controls together, as one change.

        Raises
        ------
        TwinError
            If there is no such field, or it cannot have that value.
        """
        changed, self.changed = self.changed, None
        try:
            for name, value in values.items():
                self._set(name, value)
        finally:
            self.changed = changed
        self._on_change()

    def _set(self, name: str, value: Any) -> None:
        if name not in self.fields:
            msg = f"the form has no field {name!r}; there are: {', '.join(self.fields)}"
            raise TwinError(msg, mend="gpus=512")
        try:
            self.fields[name].value = value
        except TraitError as error:
            known = getattr(self.fields[name], "options", ())
            msg = f"{name}={value!r} cannot be chosen" + (f"; there are: {', '.join(map(str, known))}" if known else "")
            raise TwinError(msg, mend=f"{name}={self.fields[name].value!r}") from error

    def _told(self, *names: str) -> dict[str, Any]:
        return {name: self.fields[name].value for name in names}

    def _on_change(self, _: object = None) -> None:
        if self.changed is not None:
            self.changed()


def group(title: str, widgets: Iterable[ipw.Widget]) -> ipw.VBox:
    """Return widgets under a heading."""
    return ipw.VBox([ipw.HTML(f"<b>{title}</b>"), *widgets], layout=ipw.Layout(min_width="0"))


def _building() -> dict[str, Any]:
    names = [*hardware.names("rack"), *hardware.names("node")]
    return {
        "chassis": _choice("chassis", names, "gb200-nvl72"),
        "gpus": _powers("GPUs", 1024, 3, 16),
        "training_gpus": _number("for training", 0, 0, 1_000_000),
        "spare": _number("spare coolers", 1, 0, 64),
    }


def _traffic() -> dict[str, Any]:
    return {
        "model": _choice("model", models.names(), "llama-3-405b"),
        "precision": _choice("precision", PRECISIONS, "fp8"),
        "tp": _choice("GPUs a replica", SIZES, 0),
        "requests_per_second": _powers("requests/s", 2**8.5, 0, 14),
        "full": _check("as many as SLO allows", False),
        "isl": _powers("prompt tokens", 2048, 5, 15),
        "osl": _powers("answer tokens", 512, 3, 13),
        "ttft_ms": _number("TTFT ≤, ms", 2000, 1, 600_000, step=100),
        "tpot_ms": _number("TPOT ≤, ms", 50, 1, 60_000, step=5),
    }


def _place() -> dict[str, Any]:
    return {
        "climate": _choice("weather", CLIMATES, next(iter(CLIMATES))),
        "cap": _share("cap, % TDP", 100, 30, 100),
        "water_celsius": _share("water, °C", 40, 17, 60),
        "rejection": _choice("heat leaves by", cooling.REJECTIONS, "tower"),
        "chillers": _check("chillers", True),
    }


def _check(label: str, value: bool) -> ipw.Checkbox:
    return ipw.Checkbox(
        value, description=label, indent=False, layout=ipw.Layout(width="auto", margin="2px 0 2px 108px")
    )


def _choice(label: str, options: Any, value: Any) -> ipw.Dropdown:
    return ipw.Dropdown(description=label, options=list(options), value=value, style=STYLE, layout=WIDE)


def _powers(label: str, value: float, least: float, most: float) -> ipw.FloatLogSlider:
    """Return a slider over powers of two, with 32 stops each."""
    ends = {"base": 2, "min": least, "max": most, "step": 1 / 32, "readout_format": ",.0f"}
    return ipw.FloatLogSlider(value=value, description=label, **ends, style=STYLE, layout=WIDE)


def _share(label: str, value: int, least: int, most: int) -> ipw.IntSlider:
    return ipw.IntSlider(value, least, most, description=label, style=STYLE, layout=WIDE)


def _number(label: str, value: int, least: int, most: int, *, step: int = 1) -> ipw.BoundedIntText:
    return ipw.BoundedIntText(value, least, most, step, description=label, style=STYLE, layout=WIDE)
