# Every target sets up what it needs; only Python 3.11 or newer and make come from outside. The C++ operator that
# DeepSpeed would compile is switched off: training does not use it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := package conf platform data_filters training eval jobs
VIDEOS ?=
# Test processes, each with a Ray session of its own; tests of one file share a process.
TEST_PROCESSES ?= 2
PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile
OUTPUT ?= demo$(if $(VIDEOS),-$(notdir $(patsubst %/,%,$(VIDEOS))))

.PHONY: setup demo test test-fast test-all lint docs bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make setup   build .venv from requirements.lock"
	@echo "make demo    the main job on a rendered sample reel, or VIDEOS=dir for your own; result in OUTPUT=$(OUTPUT)"
	@echo "make test    the tests, without the slow ones; this is what CI runs"
	@echo "make test-fast  the tests that need no Ray"
	@echo "make test-all   all tests"
	@echo "make lint    ruff, mypy, house rules, the workflow file, known vulnerabilities of the pinned versions"
	@echo "make docs    the documentation site, in build/site"
	@echo "make bench   the benchmarks of tests/bench (minutes)"
	@echo "make lock    pin the versions anew"

setup: $(VENV)/.ready

$(VENV)/uv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet uv==0.13.8

$(VENV)/.ready: requirements.lock pyproject.toml $(VENV)/uv/bin/uv
	test -x $(BIN)/python || $(VENV)/uv/bin/uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(VENV)/uv/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	$(VENV)/uv/bin/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q $(FOLDERS)
	touch $@

demo: setup
	$(BIN)/framemill demo output=$(OUTPUT) $(if $(VIDEOS),input=$(VIDEOS))

test: setup
	$(PYTEST) -m "not slow"

test-fast: setup
	$(PYTEST) -m "not slow and not ray"

test-all: setup
	$(PYTEST)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests/house/test_layout.py tests/house/test_language.py tests/house/test_types.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	if command -v actionlint; then actionlint; else echo "actionlint is not installed: only the schema was checked"; fi
	$(BIN)/python .ci/audit.py

docs: setup
	rm -rf build/site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/site

bench: setup
	for file in tests/bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

lock: $(VENV)/uv/bin/uv
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-header --no-annotate pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
