"""What every job imports before its own code: submitit loads the workstation's plugin in all of them."""

import subprocess
import sys

HEAVY = ("polars", "numpy", "dask", "distributed", "pandas", "aifactory_lab.train")


def test_a_jobs_start_imports_nothing_heavy():
    code = f"""
import sys
from submitit.core import plugins
plugins.get_executors()
from aifactory_lab.fleet import calls
assert "aifactory_lab.fleet.workstation.plugin" in sys.modules
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
