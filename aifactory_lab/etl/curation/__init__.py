"""Curation: raw documents become those worth training on, in the manner of NeMo Curator.

Stages and constants are NeMo Curator's (github.com/NVIDIA-NeMo/Curator, Apache-2.0); the code is Polars queries that
cuDF runs too, and two libraries: rensa for MinHash on a CPU, SciPy for connected components.

>>> import tempfile
>>> from aifactory_lab.etl import curation
>>> text = "The quick brown fox jumps over the lazy dog, and that is all there is to say of the matter. " * 3
>>> rows = [("fox.md", "prose", "fox.md", text), ("stub.md", "prose", "stub.md", "To be written.")]
>>> curated = curation.run(curation.documents.frame(rows), tempfile.mkdtemp(), engine="cpu")
>>> curated.dropped.select("id", "reason").rows()
[('stub.md', 'quality: words')]
"""

from aifactory_lab.etl.curation import documents, filters, minhash, redaction, trial
from aifactory_lab.etl.curation.filters import RULES, Rule
from aifactory_lab.etl.curation.result import Curated
from aifactory_lab.etl.curation.station import Settings, run

__all__ = ["RULES", "Curated", "Rule", "Settings", "documents", "filters", "minhash", "redaction", "run", "trial"]
