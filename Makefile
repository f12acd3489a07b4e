# `make demo` and `make test` set up everything they need. Only Python 3.11+ and make come from outside: the op that
# DeepSpeed would compile is not part of training, and switched off.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VIDEOS ?=
OUTPUT ?= demo$(if $(VIDEOS),-$(notdir $(patsubst %/,%,$(VIDEOS))))

.PHONY: setup demo test test-fast test-all lint bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make setup   build .venv from requirements.lock"
	@echo "make demo    the main job on a rendered sample reel, or VIDEOS=dir for your own; result in OUTPUT=$(OUTPUT)"
	@echo "make test    the tests, without the slow ones; this is what CI runs"
	@echo "make test-fast  the tests that need no Ray"
	@echo "make test-all   all tests"
	@echo "make lint    ruff and mypy"
	@echo "make bench   the benchmarks of tests/bench (minutes)"
	@echo "make lock    pin the versions anew"

setup: $(VENV)/.ready

$(VENV)/uv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet uv==0.13.8

$(VENV)/.ready: requirements.lock pyproject.toml $(VENV)/uv/bin/uv
	test -x $(BIN)/python || $(VENV)/uv/bin/uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(VENV)/uv/bin/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(VENV)/uv/bin/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/framemill demo output=$(OUTPUT) $(if $(VIDEOS),input=$(VIDEOS))

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-fast: setup
	$(BIN)/python -m pytest -m "not slow and not ray"

test-all: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/python -m pytest tests/house -q

bench: setup
	for file in tests/bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

lock: $(VENV)/uv/bin/uv
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-header --no-annotate \
		pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
