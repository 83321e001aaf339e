"""Where a model comes from: a checkpoint folder, a .gguf file, a registry's champion or another version, or a URL.

llama.cpp reads GGUF files only, so a folder is written as one, once: the file is kept in the cache under the hash of
what it was made from. A folder of ours is proven whole before, and an adapter is refused over another base than its
own. This module starts nothing.

>>> find("https://integrate.api.nvidia.com/v1")
Source(model='https://integrate.api.nvidia.com/v1', name='', adapters={})
>>> find("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is no model that can be served: there is nothing
  mend: serve.llm.start(folder) with the folder of a checkpoint, a .gguf file, or a URL
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import ModelError

if TYPE_CHECKING:
    from aifactory_lab.lm.registry import Registry

MEND = "serve.llm.start(folder) with the folder of a checkpoint, a .gguf file, or a URL"
PRECISION = "f16"
ADAPTER, CARD = "adapter_config.json", "card.json"


@dataclass(frozen=True)
class Source:
    """A model that can be served.

    Attributes
    ----------
    model
        A .gguf file, a checkpoint folder or a URL.
    name
        What it may be called.
    adapters
        Name → adapter folder: a registry's champion may be one over its base.
    """

    model: str
    name: str = ""
    adapters: Mapping[str, Any] = field(default_factory=dict)


def find(source: Any, version: int | None = None) -> Source:
    """Return what a source stands for.

    Parameters
    ----------
    source
        A path or URL; a registry (`lm.registry.Registry`), which stands for its champion; a checkpoint, a result of
        training, a version: whatever has a `folder`; or `lm.pretrained.smollm2()`, which has a `gguf`.
    version
        Of a registry, another version than the champion.

    Raises
    ------
    ModelError
        If it stands for nothing that can be served, or is damaged.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return Source(source)
    if hasattr(source, "champion_version"):
        return _registered(source, version)
    return Source(_folder(source), _name(source))


def _registered(registry: "Registry", version: int | None) -> Source:
    """Return a version; an adapter goes by the registry's name, over its base."""
    version = registry.champion_version() if version is None else version
    base = registry.base(version)
    if base is None:
        return Source(_folder(registry.folder(version)), registry.name)
    adapters = {registry.name: registry.folder(version)}
    return Source(_folder(registry.folder(base)), f"{registry.name}-base", adapters)


def _name(source: Any) -> str:
    return str(getattr(source, "name", "")) if hasattr(source, "gguf") else ""


def _folder(source: Any) -> str:
    path = Path(getattr(source, "gguf", None) or getattr(source, "folder", source))
    if (path / ADAPTER).exists():
        msg = f"{path} is an adapter, which is served over its base"
        raise ModelError(msg, mend="serve.llm.start(base_folder, adapters={name: folder})")
    if (path / "config.json").exists() or (path.is_file() and path.suffix == ".gguf"):
        return str(path.resolve())
    found = "a folder without config.json" if path.is_dir() else "a file" if path.exists() else "nothing"
    msg = f"{path} is no model that can be served: there is {found}"
    raise ModelError(msg, mend=MEND)


def as_gguf(model: str, *, precision: str = PRECISION) -> str:
    """Return a model as a .gguf file: itself, or what the cache holds or is given now.

    Raises
    ------
    ModelError
        If the folder is damaged or cannot be written as one.
    """
    if model.endswith(".gguf"):
        return model
    from aifactory_lab.lm import checkpoint, gguf_file

    if (Path(model) / CARD).exists():
        checkpoint.verify(model)
    path = _cached([Path(model)], f"model-{precision}")
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
        If one is not such an adapter, was trained over other weights, or the base is a .gguf file.
    """
    return {name: _adapter(Path(getattr(found, "folder", found)), base) for name, found in adapters.items()}


def _adapter(folder: Path, base: str) -> str:
    if folder.suffix == ".gguf" and folder.exists():
        return str(folder.resolve())
    if not (folder / ADAPTER).exists():
        msg = f"{folder} is no adapter: no {ADAPTER} in it"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, folder) makes one")
    if base.endswith(".gguf"):
        msg = f"the adapter {folder} lies over a checkpoint folder, but {base} is served"
        raise ModelError(msg, mend="serve.llm.start(base_folder, adapters={name: folder})")
    from aifactory_lab.lm import gguf_file

    _check_base(folder, base)
    path = _cached([folder, Path(base) / "config.json"], "adapter")
    return str(path if path.exists() else gguf_file.write_adapter(folder, base, path))


def _check_base(folder: Path, base: str) -> None:
    """Refuse an adapter of ours over other weights than its own; one of others does not say whose it is."""
    from aifactory_lab.lm import adapters

    if not (folder / CARD).exists():
        return
    adapter = adapters.Adapter.load(folder)
    if adapter.base_sha256 != adapters.base_hash(base):
        own = adapter.card["base"]
        msg = f"{folder} was trained over {own['name']} ({own['sha256'][:12]}…), not over {base}"
        raise ModelError(msg, mend="serve.llm.start(its_base_folder, adapters={name: folder})")


def _cached(made_of: list[Path], kind: str) -> Path:
    """Return where a .gguf is kept: under the hash of the JSON, safetensors and templates that it is made of."""
    from aifactory_lab.lm import gguf_file
    from aifactory_lab.workspace import cache_folder, file_hash

    patterns = ("*.json", "*.safetensors", "*.jinja")
    parts = [p for path in made_of for pattern in patterns for p in ([path] if path.is_file() else path.glob(pattern))]
    words = [f"{path.name} {file_hash(path)}" for path in sorted(set(parts))]
    key = hashlib.sha256("\n".join([kind, file_hash(gguf_file.__file__), *words]).encode()).hexdigest()[:24]
    return cache_folder() / "gguf" / f"{key}.gguf"
