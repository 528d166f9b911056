# make help lists the targets
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PARALLEL := -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install train test test-all test-faults test-gpu conformance lint format bench bench-gpu docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

install: $(READY)  ## create .venv with the tested versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

train: $(READY)  ## train the default DCGAN on bundled emoji (about 4 minutes on two CPU cores)
	$(BIN)/python train.py $(ARGS)

test: $(READY)  ## run the tests, without the slow ones
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-all: $(READY)  ## run all tests
	$(BIN)/python -m pytest $(PARALLEL) -m '' $(ARGS)

test-faults: $(READY)  ## fault-injection tests, with a table of results
	$(BIN)/python -m pytest tests/faults -m '' $(ARGS)

test-gpu: $(READY)  ## tests on the GPUs of this machine; skipped, with the reason, without one
	$(BIN)/python -m pytest tests/gpu tests/pretended_gpu -m '' $(ARGS)

conformance: $(READY)  ## conformance tests of losses and regularizers
	$(BIN)/python -m pytest tests/conformance $(ARGS)

lint: $(READY)  ## ruff, mypy and the import contracts, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## fix and format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## benchmarks: training speed, every loss and model, scaling, start-up
	$(BIN)/python benchmarks/train_speed.py --rounds 3 --seconds 2 --write
	$(BIN)/python benchmarks/zoo_speed.py --seconds 2 --write
	$(BIN)/python benchmarks/scaling.py --seconds 2 --write
	$(BIN)/python benchmarks/start_up.py --write

bench-gpu: $(READY)  ## benchmarks on a GPU: speed, peak memory of every model, metrics
	$(BIN)/python -c "import torch; torch.cuda.is_available() or exit('bench-gpu needs a GPU with CUDA')"
	$(BIN)/python benchmarks/train_speed.py --rounds 3 --seconds 2 --write
	$(BIN)/python benchmarks/zoo_speed.py --seconds 2 --write
	$(BIN)/python benchmarks/evaluation_speed.py --write

docs: $(READY)  ## build the documentation site in site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:  ## remove caches and builds, but not runs or .venv
	rm -rf .mypy_cache .pytest_cache .ruff_cache dist site
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
