"""The sizes of the house's language model that have a name: points on its one dial.

Any depth can be trained; these are the ones that the lessons and the benchmarks use. It is known here without PyTorch,
so that they can be listed where it is not installed. This module does not know how a model is made.

>>> [(size.name, size.depth) for size in SIZES]
[('pocket-2', 2), ('pocket-4', 4), ('pocket-7', 7), ('pocket-9', 9)]
>>> size("pocket-4").parameters
'1.1 million'
"""

from dataclasses import dataclass

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import shapes

VOCABULARY = 2_048  # with which the parameters are counted: the token line's


@dataclass(frozen=True)
class Size:
    """A named depth.

    Attributes
    ----------
    depth
        Of `lm.shapes.shape`.
    what
        What it is good for.
    """

    depth: int
    what: str

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return f"pocket-{self.depth}"

    @property
    def parameters(self) -> str:
        """How many with a vocabulary of 2,048, in words."""
        return f"{shapes.shape(self.depth, VOCABULARY).matrices / 1e6:.1f} million"

    @property
    def title(self) -> str:
        """What it is."""
        return f"a Llama of {self.parameters} parameters: {self.what}"


SIZES = (
    Size(2, "half a minute of training, to see the line work"),
    Size(4, "the token line's own"),
    Size(7, "what two cores learn in a quarter of an hour"),
    Size(9, "the largest that the benchmarks train"),
)


def size(name: str) -> Size:
    """Return a size by its name.

    Raises
    ------
    ModelError
        If there is none of this name; the message lists those there are.
    """
    found = {each.name: each for each in SIZES}
    if name not in found:
        msg = f"no size {name!r} of the language model; there are: {', '.join(found)}"
        raise ModelError(msg, mend="lm.pretrain.run(shards, tokenizer, out, depth=4)  # any depth")
    return found[name]
