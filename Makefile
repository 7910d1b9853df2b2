# Each target does its own set-up. Locks are in requirements*.txt, with hashes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
SELF := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation

.PHONY: help demo api test faults soak lint format full schemas bench lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"tidegate needs Python 3.11 or later, this is {sys.version.split()[0]}: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# The light set: worker, demo, local broker. No torch.
$(VENV)/light: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing the light set into $(VENV)" >&2
	$(PIP) -r requirements.txt
	$(SELF) -e .
	@touch $@

# The light set, and what tests and linters need.
$(VENV)/dev: requirements-dev.txt $(VENV)/light
	@echo "installing what the tests need into $(VENV)" >&2
	$(PIP) -r requirements-dev.txt
	@touch $@

# All of it: torch and the trainer, too. 6 GB on Linux.
$(VENV)/full: requirements-full.txt $(VENV)/dev
	@echo "installing the full set into $(VENV)" >&2
	$(PIP) -r requirements-full.txt
	@touch $@

demo: $(VENV)/light  ## a broker, a worker and a stream of comments, live (ARGS="--count 500 --plain")
	@$(BIN)/tidegate demo $(ARGS)

api: $(VENV)/light  ## Perspective's calls and our own at 127.0.0.1:8080 (ARGS="--port 9000")
	@$(BIN)/tidegate api $(ARGS)

test: $(VENV)/dev  ## all tests; those that need torch run if `make full` was run before (ARGS="-n 0 -x --pdb")
	$(BIN)/python -m pytest -n auto $(ARGS)

faults: $(VENV)/dev  ## the whole fault matrix, minutes-long rows included (TIDEGATE_FAULTS_SEED=… repeats a run)
	$(BIN)/python -m pytest -n 2 tests/faults -m "" $(ARGS)

soak: $(VENV)/full  ## hours of load and faults, memory drawn, reconcile at the end (ARGS="--hours 1 --seed 7")
	@PYTHONPATH=tests $(BIN)/python -m faults.soak $(ARGS)

lint: $(VENV)/full  ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/dev  ## format, and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

full: $(VENV)/full  ## install torch and the trainer, too

schemas: $(VENV)/light  ## write the JSON Schemas and the AsyncAPI document anew
	$(BIN)/tidegate schemas --out schemas/generated

bench: $(VENV)/dev  ## the benchmarks; ARGS="stream" for one of them, ARGS="peers" for those against others
	PYTHONPATH=tests $(BIN)/python -m benchmarks.run $(ARGS)

include trainer/shipped.mk

lock:  ## make the lock files anew (needs uv)
	uv pip compile pyproject.toml $(LOCK) --extra build --extra train --extra dev -o requirements-full.txt
	uv pip compile pyproject.toml $(LOCK) --extra build --extra dev -c requirements-full.txt -o requirements-dev.txt
	uv pip compile pyproject.toml $(LOCK) --extra build -c requirements-full.txt -o requirements.txt
	uv pip compile pyproject.toml $(LOCK) --extra build --extra loop --extra onnxruntime --extra sign -c requirements-full.txt -o requirements-image.txt
	uv pip compile $(PEERS)/detoxify.in $(LOCK) --no-deps -o $(PEERS)/detoxify.txt
	uv pip compile $(PEERS)/infinity.in $(LOCK) $(addprefix --no-emit-package=,$(WITH_TORCH)) -o $(PEERS)/infinity.txt
	uv pip compile $(PEERS)/quix.in $(LOCK) -o $(PEERS)/quix.txt
	uv pip compile $(PEERS)/faststream.in $(LOCK) -c requirements-full.txt -o $(PEERS)/faststream.txt

# Peers of the benchmark, laid over the full install: they find torch, gigabytes of it, there.
PEERS := tests/benchmarks/peers/requirements
WITH_TORCH = $(shell grep -oE '^(torch|triton|(cuda|nvidia)-[a-z0-9-]+)' requirements-full.txt)

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

clean:  ## remove what was installed and built
	rm -rf $(VENV) .venv-peers build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
