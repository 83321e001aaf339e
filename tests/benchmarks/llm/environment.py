"""The environment of the peers in serving language models, `.venv-peers-llm`: AIPerf and `transformers serve`.

Apart from the user's, for AIPerf pins pandas, psutil, plotly and others (1.2 GB, some minutes). vLLM is not among them:
its CPU build wants 3.5 GB and, as published (0.32), starts only after packages that it installed are taken out again by
hand. `make bench-peers` (or `python -m tests.benchmarks.llm.environment`) makes it by hand.
"""

import sys

from tests.benchmarks.environments import Environment

# The other build of PyTorch brings several GB of CUDA.
TORCH = ("--extra-index-url", "https://download.pytorch.org/whl/cpu", "torch==2.13.0+cpu")
PEERS = ("aiperf==0.13.0", "transformers[serving]>=5.10,<6")
HERE = Environment(".venv-peers-llm", PEERS, before=TORCH)
PYTHON, AIPERF, TRANSFORMERS = HERE.python, HERE.program("aiperf"), HERE.program("transformers")
versions = HERE.versions

if __name__ == "__main__":
    sys.exit(not versions())
