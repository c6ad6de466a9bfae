# `make help` shows the targets; the first call prepares everything, a second finds it done.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

SUITABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c '$(SUITABLE)' 2>/dev/null && { command -v $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
VISION ?= examples/visions/clinic.md
# Tests of these folders start Ray or run against the clock; the others go side by side.
WHOLE_MACHINE := tests/actors/ tests/benchmarks/ tests/cli/ tests/e2e/ tests/faults/ tests/memory_cluster/ tests/ray_service/ tests/serve_cluster/
PEERS := langgraph dbos pgqueuer procrastinate pgvector lancedb qdrant hnswlib chroma
BENCH_VENVS := .venv-bench
BENCH_ARGS ?=
INFRA_VENV := .venv-infra
SCAN_VENV := .venv-scan

# uv reads no pip settings: a folder of wheels that pip was told of must be handed on.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
endif

# A folder with the custom resource definitions of KubeRay 1.7 (helm-chart/kuberay-operator/crds of its release).
export KUBERAY_CRDS ?= $(wildcard ../shared/data/kuberay)

UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

.PHONY: help
help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.installed system ## Install what is missing and build VISION (default: the clinic).
	$(BIN)/factory build $(VISION)

.PHONY: test
test: check-code check-infra $(SCAN_VENV)/.installed ## Install what tests need and run every check and the whole suite, or what PYTEST_ARGS names.
ifdef PYTEST_ARGS
	$(BIN)/pytest $(PYTEST_ARGS)
else
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(filter-out $(WHOLE_MACHINE),$(wildcard tests/[a-z]*/))
	$(BIN)/pytest $(WHOLE_MACHINE)
endif

.PHONY: check
check: test ## The same as test: format, lint, types, import rules, tests, documentation examples.

.PHONY: check-code
check-code: $(VENV)/.installed-dev system-tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/factory contract check
	$(BIN)/python scripts/grpc_classes.py --check

.PHONY: check-cluster
check-cluster: $(VENV)/.installed-dev $(SCAN_VENV)/.installed check-infra ## Render every environment of cluster/ and check what a cluster would be given.
	$(BIN)/pytest tests/cluster/

.PHONY: check-charts
check-charts: $(SCAN_VENV)/.installed ## Fetch the charts of cluster/gitops, render them with our values and check what they make; CHARTS=FOLDER takes them from there.
	$(SCAN_VENV)/bin/python scripts/charts.py $(if $(CHARTS),--charts $(CHARTS))

.PHONY: check-infra
check-infra: $(INFRA_VENV)/.installed ## Plan the Azure platform of every environment and hold it to its policies.
	cd cluster/infra && ../../$(INFRA_VENV)/bin/python -m pytest -q --tb=native -c /dev/null --rootdir . tests

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code and mend what the linter can mend.
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: bench
bench: $(VENV)/.installed system ## Measure a cold build, a second build and peak memory.
	$(BIN)/python benchmarks/build.py

CHAOS_SECONDS ?= 3600
CHAOS_SEED ?= 1
CHAOS_PROJECTS ?= 2000

.PHONY: chaos
chaos: $(VENV)/.installed-dev system ## Kill, freeze and cut for CHAOS_SECONDS and check every invariant.
	$(BIN)/python -m tests.faults.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) --projects $(CHAOS_PROJECTS)

.PHONY: bench-setup
bench-setup: $(PEERS:%=$(BENCH_VENVS)/%/.installed) $(BENCH_VENVS)/.texts ## Install what the benchmarks compare with, each apart.

.PHONY: bench-engine
bench-engine: $(VENV)/.installed bench-setup system ## Measure the engine beside its peers; BENCH_ARGS=--quick is short.
	$(BIN)/python benchmarks/engine.py $(BENCH_ARGS)

.PHONY: bench-memory
bench-memory: $(VENV)/.installed bench-setup system ## Measure semantic memory beside vector stores.
	$(BIN)/python benchmarks/memory.py $(BENCH_ARGS)

.PHONY: bench-gateway
bench-gateway: $(VENV)/.installed-dev system ## Measure the gateway beside a hello-world on Ray Serve.
	$(BIN)/python benchmarks/gateway.py $(BENCH_ARGS)

.PHONY: proto
proto: $(VENV)/.installed-dev ## Make the classes of the gRPC service anew from its description.
	$(BIN)/python scripts/grpc_classes.py

.PHONY: lock
lock: $(VENV)/.uv ## Resolve constraints.txt anew from pyproject.toml.
	$(UV) pip compile --quiet --upgrade --universal --python $(BIN)/python --python-version 3.11 --all-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --unsafe-package factory --output-file constraints.txt pyproject.toml
	@# torch is pinned in pyproject.toml; which build of it fits, and what that build needs, is the machine's affair.
	sed -i -E '/^(torch|triton|cuda-|nvidia-)/d' constraints.txt

.PHONY: clean
clean: ## Remove what was installed and built here; the factory's data stays.
	rm -rf $(VENV) $(BENCH_VENVS) $(INFRA_VENV) $(SCAN_VENV) .charts build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: system
system:
	@scripts/system-packages

.PHONY: system-tests
system-tests:
	@scripts/system-packages tests

$(VENV)/.uv: requirements/uv.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or 3.12 with its venv module is needed (Debian: apt-get install" \
		"python3-venv); name another with: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.uv pyproject.toml constraints.txt requirements/spacy-model.txt
	$(INSTALL) -c constraints.txt -e .
	$(INSTALL) --require-hashes --no-deps -r requirements/spacy-model.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-embeddings: $(VENV)/.installed
	$(INSTALL) -c constraints.txt -e '.[embeddings]'
	@touch $@

# Pulumi wants another protobuf than the factory, checkov much else; Helm's library is large.
$(INFRA_VENV)/.installed: cluster/infra/requirements.txt | $(VENV)/.uv
$(SCAN_VENV)/.installed: requirements/scan.txt | $(VENV)/.uv
$(INFRA_VENV)/.installed $(SCAN_VENV)/.installed:
	$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python -r $<
	@touch $@

# The texts of bench-memory --quick, embedded; more are embedded when they are asked for.
$(BENCH_VENVS)/.texts: $(VENV)/.installed-embeddings
	$(BIN)/python benchmarks/memory.py --prepare
	@mkdir -p $(@D) && touch $@

$(BENCH_VENVS)/%/.installed: benchmarks/peers/%/requirements.txt | $(VENV)/.uv
	$(UV) venv --quiet --clear --python $(BIN)/python $(BENCH_VENVS)/$*
	$(UV) pip install --quiet --python $(BENCH_VENVS)/$*/bin/python -r $<
	@touch $@
