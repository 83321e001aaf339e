"""A training that can be killed at any moment: its state in one file, written aside, then renamed.

The file is safetensors: masters, momenta and the losses so far as tensors, the step and the configuration as text. A
run that finds the state of its own configuration goes on from there and makes what it would have made, bit for bit;
one that finds another's says what differs and starts afresh. This module does not train.

>>> import tempfile
>>> states = States(tempfile.mkdtemp(), {"seed": 0})
>>> states.save(State(step=3, tensors={"weight": torch.ones(2)}, losses=[7.6, 7.1, 6.9]))
>>> states.load().step, States(states.folder, {"seed": 1}).differs()
(3, {'seed': (0, 1)})
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aifactory_lab.aside import sweep, write_aside
from aifactory_lab.errors import WorkspaceError

FILE = "training_state.safetensors"
LOSSES = "losses"


@dataclass(frozen=True)
class State:
    """What a run needs to go on.

    Attributes
    ----------
    step
        Steps that were made.
    tensors
        All that the optimiser holds: `lm.optimiser.Optimiser.state`.
    losses
        Of each step so far, nats per token.
    """

    step: int
    tensors: Mapping[str, Tensor]
    losses: list[float]


class States:
    """Where a run of one configuration keeps its state.

    Parameters
    ----------
    folder
        Made when something is first saved.
    configuration
        Everything that decides the result, as JSON values.
    """

    def __init__(self, folder: Path | str, configuration: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self.configuration = json.loads(json.dumps(dict(configuration)))

    def save(self, state: State) -> None:
        """Write a state; the one before stays until the new one is whole.

        Raises
        ------
        WorkspaceError
            If the disk is full or the folder cannot be written; the state before is still there.
        """
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
        tensors[LOSSES] = torch.tensor(state.losses, dtype=torch.float64)
        words = {"step": str(state.step), "configuration": json.dumps(self.configuration)}
        try:
            with write_aside(self.path) as aside:
                aside.write_bytes(save(tensors, metadata=words))
        except OSError as error:
            kept = "the state before is still there" if self.path.exists() else "none was written before"
            msg = f"the state of step {state.step} cannot be written to {self.path}: {error}; {kept}"
            raise WorkspaceError(msg, mend=f"free space on {self.folder}, then run again: it goes on") from error

    def load(self) -> State | None:
        """Return the state of this configuration, `None` where there is none or it is another's."""
        from safetensors import safe_open

        if self._found() != self.configuration:
            return None
        with safe_open(self.path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return State(int(file.metadata()["step"]), tensors, tensors.pop(LOSSES).tolist())

    def differs(self) -> dict[str, tuple[Any, Any]]:
        """Return what is otherwise in the state that lies there: name → (there, here); empty if it fits or none is."""
        found = self._found()
        if found is None:
            return {}
        names = sorted(found.keys() | self.configuration.keys())
        pairs = {name: (found.get(name), self.configuration.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def clear(self) -> None:
        """Remove the state, and what a killed process left half written."""
        self.path.unlink(missing_ok=True)
        if self.folder.exists():
            sweep(self.folder, FILE)

    def _found(self) -> dict[str, Any] | None:
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                return dict(json.loads(file.metadata()["configuration"]))
        except (SafetensorError, KeyError, ValueError, TypeError, OSError):
            return None  # not a state of ours, or damaged: as good as none
