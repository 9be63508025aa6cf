# What a developer may do here. Every target sets up first what it needs.

READY := .venv/.ready
BIN := .venv/bin
PYTHON ?=
BENCH_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
FAULTS_ARGS ?=
FUZZ_ARGS ?=
LOCK_ARGS ?=
CODE := $(wildcard src tests bench faults fuzz)

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint format bench faults model fuzz lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Make .venv from the locks (another Python: PYTHON=python3.13)

# The stamp is written last, so an interrupted set-up is taken up again.
$(READY): pyproject.toml requirements.lock requirements-uv.lock tools/setup
	@PYTHON="$(PYTHON)" tools/setup
	@touch $@

demo: $(READY) ## Orders to cash into a real ERP, with faults (DEMO_ARGS="--orders 100 --erp tryton --seed 1")
	@$(BIN)/tallystick demo $(DEMO_ARGS)

run: $(READY) ## Serve the API and a worker on one port, with an embedded database, until Ctrl-C
	@$(BIN)/tallystick run

test: $(READY) ## Run all tests, in two processes (some, in one: TEST_ARGS="tests/unit -k credit")
	@$(BIN)/python -m pytest $(or $(TEST_ARGS),-n 2 --dist loadfile)

lint: $(READY) ## Check style, format, types and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(CODE)
	@$(BIN)/lint-imports

format: $(READY) ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

PEERS := .venv/peers/.ready

$(PEERS): $(READY) requirements-peers.lock
	@tools/setup peers

bench: $(PEERS) ## Measure every promise of speed beside its bare limit and its peers (some: BENCH_ARGS="--rows intake")
	@$(BIN)/python -m bench $(BENCH_ARGS)

faults: $(READY) ## Break everything while orders flow, then compare all books (FAULTS_ARGS="--minutes 10 --seed 1 --erp tryton")
	@$(BIN)/python -m faults $(FAULTS_ARGS)

model: ## Check the mailbox's formal model, and that each of its parts is needed (wants spin and gcc)
	@tools/check-model

fuzz: $(READY) ## Try every parser with bytes that nobody meant, ten seconds each (FUZZ_ARGS="--seconds 60 csv_file")
	@$(BIN)/python -c 'import atheris' 2>/dev/null || tools/setup fuzz
	@$(BIN)/python -m fuzz $(FUZZ_ARGS)

lock: $(READY) ## Resolve pyproject.toml into the locks (newest of everything: LOCK_ARGS=--upgrade)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/lock $(LOCK_ARGS)

clean: ## Remove .venv and all caches; databases stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache dist
	@find src tests bench faults fuzz -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
