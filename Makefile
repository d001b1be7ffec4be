# `make` prints what there is to make. Every target sets up what it needs from nothing: Python 3.11, make and git.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINT := ETL_DATABASE=target/lint.duckdb
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast rehearse rehearse-faults mutations bench lint lint-python lint-sql format sandbox docs lock clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the locked dependencies and the project

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: Python 3.11, 3.12 or 3.13 is needed; install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || \
		{ echo "error: $(PYTHON) cannot make a virtual environment; install its venv package (python3-venv on Debian)" >&2; exit 2; }
	@echo "installing the locked dependencies into $(VENV), about a minute"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## run the main job on the built-in sandbox: probe, build, validate, dry-run, import twice, ask what happened
	@$(BIN)/python scripts/demo.py

test: $(READY) ## run every test
	@$(BIN)/python -m pytest

test-fast: $(READY) ## run the tests that need neither dbt nor a server
	@$(BIN)/python -m pytest -m "not (dbt or server or kill or rehearsal or mutations or browser)"

bench: $(READY) ## time the start, validate-only of 1,000,000 records, delivery at 50 ms latency, and the reports over 200 runs, some minutes
	@code=0; for each in start validate deliver history; do $(BIN)/python -m benchmarks.$$each || code=$$?; done; exit $$code

rehearse: $(READY) ## import 2,000 records into the sandbox while everything goes wrong, and account for each; takes minutes
	@$(BIN)/python -m rehearsal

rehearse-faults: $(READY) ## end a run by Ctrl-C or SIGTERM at 100 random moments; takes minutes
	@SIGNAL_MOMENTS=100 $(BIN)/python -m pytest -n 0 tests/faults/test_signals.py

mutations: $(READY) ## land 10,000 damaged files beside a second reader; takes minutes
	@MUTATIONS=10000 $(BIN)/python -m pytest -n 0 -s tests/pipeline/test_mutations.py -k thousands

lint: lint-python lint-sql ## check style, types and SQL

lint-python: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lint-sql: $(READY)
	@mkdir -p target
	@$(LINT) $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

format: $(READY) ## put Python and SQL into the project's style
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	@mkdir -p target
	@$(LINT) $(BIN)/sqlfluff fix --disable-progress-bar dbt_project/models

sandbox: $(READY) ## run the local staging API on http://127.0.0.1:8010 until Ctrl-C
	@$(BIN)/python -m sandbox serve --environment development --database data/sandbox.sqlite

docs: $(READY) ## make the dbt catalogue and serve it on http://127.0.0.1:8080
	@$(BIN)/dbt --quiet build && $(BIN)/dbt --quiet docs generate && $(BIN)/dbt docs serve --host 127.0.0.1 --port 8080 --no-browser

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean: ## remove the environment and what dbt generated; data/ is kept
	rm -rf $(VENV) target logs *.egg-info
