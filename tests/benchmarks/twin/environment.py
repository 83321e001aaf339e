"""The environment of the twin's peer, AIConfigurator, `.venv-peers-twin`: 850 MB, with NVIDIA's measured kernels.

Apart from the user's environment, because it pins what that holds in other versions. `make bench-peers` (or
`python -m tests.benchmarks.twin.environment`) makes it by hand.
"""

import sys

from tests.benchmarks.environments import Environment

PEERS = ("aiconfigurator==0.12.0",)
HERE = Environment(".venv-peers-twin", PEERS)
PYTHON = HERE.python
versions = HERE.versions

if __name__ == "__main__":
    sys.exit(not versions())
