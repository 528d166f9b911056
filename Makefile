# Targets explain themselves: make help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PARALLEL := -n auto --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help install train test test-all test-faults conformance lint format bench docs clean

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

install: $(READY)  ## make the environment in .venv, with the versions that are tested

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

train: $(READY)  ## train the default GAN on the embedded drawings (at most 5 minutes on two CPU cores)
	$(BIN)/python train.py $(ARGS)

test: $(READY)  ## the tests, without those that train until something converges; a process for each core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-all: $(READY)  ## all tests, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m '' $(PARALLEL) $(ARGS)

test-faults: $(READY)  ## kill, interrupt, starve and damage real runs; a table of what survived
	$(BIN)/python -m pytest tests/faults -m '' $(ARGS)

conformance: $(READY)  ## every loss and penalty against mathematics
	$(BIN)/python -m pytest tests/conformance $(ARGS)

lint: $(READY)  ## ruff, mypy and the floors of the package, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## let ruff put right what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## images/s beside other loops, of every loss and game, how cost grows, start-up
	$(BIN)/python benchmarks/train_speed.py --rounds 3 --seconds 2 --write
	$(BIN)/python benchmarks/zoo_speed.py --seconds 2 --write
	$(BIN)/python benchmarks/scaling.py --seconds 2 --write
	$(BIN)/python benchmarks/start_up.py --write

docs: $(READY)  ## the documentation site in site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:  ## remove caches and builds; runs and the environment stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache dist site
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
