"""The environment of the peers in watching a plant, `.venv-peers`.

Apart from the user's environment, because jupyterlab-nvdashboard would add its panel to their JupyterLab.
`make bench-peers` (or `python -m tests.benchmarks.plant.environment`) makes it by hand.
"""

import sys

from tests.benchmarks.environments import Environment

PEERS = ("nvitop>=1.7.2,<1.8", "gpustat>=1.1.1,<1.2", "jupyterlab-nvdashboard>=0.15,<0.16", "nvidia-ml-py>=13")
HERE = Environment(".venv-peers", PEERS)
PYTHON = HERE.python
versions = HERE.versions

if __name__ == "__main__":
    sys.exit(not versions())
