"""What this machine's links carry, measured, beside what they should: disk, memory, host to GPU, GPU to GPU.

>>> import tempfile
>>> from aifactory_lab import links
>>> found = links.measure(tempfile.mkdtemp(), size=4 << 20, passes=1)
>>> found.table().columns[:4]
['name', 'what', 'gb_s', 'low']
"""

from aifactory_lab.links.comparison import compare
from aifactory_lab.links.found import Links, Part
from aifactory_lab.links.link import Link
from aifactory_lab.links.measurement import kept, measure, measured

__all__ = ["Link", "Links", "Part", "compare", "kept", "measure", "measured"]
