# Every verb works on a machine that has Python 3.11 (or newer) and make, and nothing else: venv and pip do the rest.
# Installed versions come from requirements*.txt, pinned by hash, all that is needed (so --no-deps: older pips take a pin
# for none where a package asks for it with an extra); a stamp file in the environment makes re-runs quick.

PYTHON    ?= python3
VENV      ?= .venv
CATALOGUE ?=
TESTS     ?= tests
BIN       := $(VENV)/bin
PIP       := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL    = $(PIP) install --no-deps --require-hashes -r $(1) && $(PIP) install --no-deps --no-build-isolation --editable .
QUICK     := not slow and not train

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop serve test test-all crash crash-short crash-mutants crash-history test-train coverage check format bench tables lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## set up, make a demo catalogue, serve it and match one photograph (CATALOGUE=DIR: your own)
	$(BIN)/resight demo $(if $(CATALOGUE),--catalogue "$(CATALOGUE)")

demo-stop: $(VENV)/.installed ## end the demo's service
	$(BIN)/resight demo --stop

serve: $(VENV)/.installed ## run the service
	$(BIN)/resight serve

test: $(VENV)/.installed-dev ## set up and run the quick suite
	$(BIN)/python -m pytest -m "$(QUICK)" $(TESTS)

test-all: $(VENV)/.installed-dev ## the quick suite and the slow one (training excepted)
	$(BIN)/python -m pytest -m "not train" $(TESTS)

crash: $(VENV)/.installed-dev ## kill -9 a hundred times and at every failpoint, on SQLite and PostgreSQL (CRASH=options)
	$(BIN)/python -m tests.crash $(CRASH)

crash-short: $(VENV)/.installed-dev ## ten kills, a few failpoints and a short history: what CI runs
	$(BIN)/python -m tests.crash --short $(CRASH)
	$(BIN)/python -m tests.crash.concurrent --seconds 15

crash-mutants: $(VENV)/.installed-dev ## the crash harness on bugs made on purpose: it must find each
	$(BIN)/python -m tests.crash.seeded $(CRASH)

crash-history: $(VENV)/.installed-dev ## ten minutes of import, match, edit and removal at once, held against one order of events
	$(BIN)/python -m tests.crash.concurrent $(CRASH)

test-train: $(VENV)/.installed-train ## the training tests, with the [train] extra
	$(BIN)/python -m pytest -m train $(TESTS)/models

coverage: $(VENV)/.installed-dev ## lines and branches of domain and services
	$(BIN)/python -m pytest -m "$(QUICK)" --cov --cov-report=term $(TESTS)

check: $(VENV)/.installed-dev ## lint, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-dev ## measure against the bare loop (CATALOGUE=DIR: on your photographs)
	$(BIN)/python -m benchmarks.service $(if $(CATALOGUE),"$(CATALOGUE)")
	$(BIN)/python -m benchmarks.embed
	$(BIN)/python -m benchmarks.search

tables: $(VENV)/.installed-dev ## print the tables of the documents again (DATA=FOLDER with the belugas of CATALOGUE=DIR imported)
	$(BIN)/python -m benchmarks.ranking "$(DATA)" "$(CATALOGUE)/scenarios" --most 100 --write docs/ranking.md \
		--parts stages bridges chosen individuals learned
	$(BIN)/python -m benchmarks.calibration "$(DATA)" "$(CATALOGUE)" --tables docs/probabilities.md

# Releases younger than a week are left out, so that a bad one has time to be found; FastAPI waits three days since its
# limits of forms, which keep hostile ones out, were young when they were needed.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
          --exclude-newer "7 days" --exclude-newer-package "fastapi=3 days" --group build
lock: $(VENV)/.installed-dev ## compile requirements*.txt from pyproject.toml again
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --extra postgres --constraints requirements.txt --output-file requirements-server.txt
	$(COMPILE) pyproject.toml --extra dev --constraints requirements-server.txt --output-file requirements-dev.txt

clean: ## remove caches and the environment
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Resight needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(call INSTALL,requirements.txt)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	$(call INSTALL,requirements-dev.txt)
	@touch $@ $(VENV)/.installed

# Torch is pinned in pyproject.toml and not by hash: which build of it is right depends on the machine.
$(VENV)/.installed-train: $(VENV)/.installed-dev
	$(PIP) install --no-build-isolation --editable ".[train]"
	@touch $@
