# Two commands on a fresh machine: `make demo` and `make test`. Python (3.11 or newer) and make are all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test test-all docs mutants fuzz lint install clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV): minutes, and on Linux some 6 GB, most of it PyTorch for GPUs (docs/install.md)'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m experiments.demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The documentation site, without a network: outputs/docs/site/index.html. A broken link ends it.
docs: $(STAMP)
	$(BIN)/python docs/build.py

# Faults put into a copy, one at a time, each of which a test must notice (docs/mutants.md).
mutants: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m mutants

# Damaged files, checkpoints, images and command lines, by seed: about two minutes; FUZZ="--streams 1000000" for more.
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz $(FUZZ)

clean:
	rm -rf $(VENV) outputs .pytest_cache .mypy_cache .ruff_cache
