"""Where a model comes from: a checkpoint folder, a .gguf file, a registry's champion or version, or a URL.

llama.cpp reads GGUF files only, so a folder is written as one, once: the file is kept in the cache under the hash of
what it was made from. This module starts nothing.

>>> find("https://integrate.api.nvidia.com/v1")
Source(model='https://integrate.api.nvidia.com/v1', name='')
>>> find("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is no model that can be served: there is nothing
  mend: serve.llm.start(folder) with the folder of a checkpoint, a .gguf file, or a URL
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aifactory_lab.errors import ModelError

MEND = "serve.llm.start(folder) with the folder of a checkpoint, a .gguf file, or a URL"
PRECISION = "f16"


@dataclass(frozen=True)
class Source:
    """A model that can be served: a .gguf file, a checkpoint folder or a URL, and what it may be called."""

    model: str
    name: str = ""


def find(source: Any) -> Source:
    """Return what a source stands for.

    Parameters
    ----------
    source
        A path or URL; a registry (`lm.registry.Registry`), which stands for its champion; or a version, a checkpoint,
        a result: whatever has a `folder`.

    Raises
    ------
    ModelError
        If it stands for nothing that can be served.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return Source(source)
    if hasattr(source, "champion"):
        champion = source.champion() if callable(source.champion) else source.champion
        if champion is None:
            msg = f"{source!r} has no champion yet"
            raise ModelError(msg, mend="promote a version, or serve a folder: serve.llm.start(folder)")
        return Source(_folder(champion), str(getattr(source, "name", "")))
    return Source(_folder(source))


def _folder(source: Any) -> str:
    path = Path(getattr(source, "folder", source))
    if path.is_file() and path.suffix == ".gguf":
        return str(path.resolve())
    if (path / "config.json").exists():
        return str(path.resolve())
    found = "a folder without config.json" if path.is_dir() else "a file" if path.exists() else "nothing"
    msg = f"{path} is no model that can be served: there is {found}"
    raise ModelError(msg, mend=MEND)


def as_gguf(model: str, *, precision: str = PRECISION) -> str:
    """Return a model as a .gguf file: itself, or what the cache holds or is given now.

    Raises
    ------
    ModelError
        If the folder cannot be written as one.
    """
    if model.endswith(".gguf"):
        return model
    from aifactory_lab.lm import gguf_file

    path = _cached(Path(model), f"model-{precision}")
    return str(path if path.exists() else gguf_file.write(model, path, precision))


def adapters_as_gguf(adapters: Mapping[str, Any], base: str) -> dict[str, str]:
    """Return LoRA adapters as .gguf files over a base.

    Parameters
    ----------
    adapters
        Name → folder of `peft`, or whatever has a `folder`, or a .gguf file.
    base
        The checkpoint folder that they were trained on.

    Raises
    ------
    ModelError
        If one is not such an adapter, or the base is a .gguf file and the adapters are not.
    """
    return {name: _adapter(Path(getattr(found, "folder", found)), base) for name, found in adapters.items()}


def _adapter(folder: Path, base: str) -> str:
    if folder.suffix == ".gguf" and folder.exists():
        return str(folder.resolve())
    if not (folder / "adapter_config.json").exists():
        msg = f"{folder} is no adapter: no adapter_config.json in it"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, out) makes one")
    if base.endswith(".gguf"):
        msg = f"the adapter {folder} lies over a checkpoint folder, but {base} is served"
        raise ModelError(msg, mend="serve.llm.start(base_folder, adapters={name: folder})")
    from aifactory_lab.lm import gguf_file

    path = _cached(folder, "adapter")
    return str(path if path.exists() else gguf_file.write_adapter(folder, base, path))


def _cached(folder: Path, kind: str) -> Path:
    """Return where the .gguf of a folder is kept: under the hash of all its JSON and safetensors."""
    from aifactory_lab.lm import gguf_file
    from aifactory_lab.workspace import cache_folder, file_hash

    parts = [p for pattern in ("*.json", "*.safetensors", "*.jinja") for p in sorted(folder.glob(pattern))]
    words = [kind, file_hash(gguf_file.__file__), *(f"{p.name} {file_hash(p)}" for p in parts)]
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()[:24]
    return cache_folder() / "gguf" / f"{key}.gguf"
