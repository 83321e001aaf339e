"""The environment of the peers in curation, `.venv-peers-curation`: datasketch and datatrove.

Apart from the user's environment, for they bring half a gigabyte that nothing here needs. `make bench-peers` (or
`python -m tests.benchmarks.curation_peers.environment`) makes it by hand.
"""

import sys
from importlib.metadata import version

from tests.benchmarks.environments import Environment

PEERS = ("datasketch>=2,<3", "datatrove[processing]>=0.10,<0.11", f"polars=={version('polars')}")
HERE = Environment(".venv-peers-curation", PEERS)
PYTHON = HERE.python
versions = HERE.versions

if __name__ == "__main__":
    sys.exit(not versions())
