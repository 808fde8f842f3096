# Everything a person or a CI job runs. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# BOT=path/to/bot.py puts another bot in place of the reference bot.
GATE_OPTIONS := $(if $(BOT),--bot $(BOT),)
# BUDGET=240 draws so many trials of the sweep with each store; without it, all of them.
BUDGET ?=
BOT_TESTS := tests/unit/target_trader $(sort $(wildcard tests/property/test_trader_*.py))
# DAYS=... picks some of the bot's days for test-ib-async.
DAYS ?= tests/unit/target_trader/test_trading_day*.py
# OTHER=... is the second Python of test-other-python.
OTHER ?= python3.12

.PHONY: help gate sweep test coverage test-others test-ib-async test-other-python whole-day bench bench-broker bench-recovery coverage-page lint types imports lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

gate: $(READY) ## every scenario, and every point of a day with each store; BUDGET=n: n trials
	$(BIN)/pytest -n auto scenarios/ $(if $(BUDGET),--crash-budget $(BUDGET),) $(GATE_OPTIONS)

sweep: $(READY) ## kill the reference bot at every point of a day, with each store
	$(BIN)/pytest -n auto scenarios/test_every_point.py $(GATE_OPTIONS)

test: $(READY) ## every test of crashgate itself
	$(BIN)/pytest -n auto tests/

coverage: $(READY) ## the reference bot's own tests, measured: 95 % of its lines and of its branches
	$(BIN)/pytest -n auto --cov --cov-report= $(BOT_TESTS)
	$(BIN)/coverage json --quiet -o coverage.json
	$(BIN)/python -m benchmarks.bot_coverage coverage.json

test-others: $(READY) ## every test that `make coverage` has not run
	$(BIN)/pytest -n auto tests/ $(addprefix --ignore=,$(BOT_TESTS))

test-ib-async: $(READY) ## the reference bot's trading days once more, under ib_async
	TRADER_TEST_LIBRARY=ib_async $(BIN)/pytest -n auto $(DAYS)

test-other-python: $(READY) ## replay tokens on another Python, e.g. OTHER=python3.12
	$(MAKE) VENV=.venv-other PYTHON=$(OTHER) .venv-other/.ready
	OTHER_PYTHON=.venv-other/bin/python $(BIN)/pytest -n auto tests/acceptance/test_other_python.py

whole-day: $(READY) ## a whole day of five stocks with both libraries and all three stores
	WHOLE_DAY=all $(BIN)/pytest -n auto tests/acceptance/test_whole_day.py

bench: $(READY) ## cases a second and core, forked and executed, and what one costs
	$(BIN)/python -m benchmarks.cases

bench-broker: $(READY) ## what the broker costs, next to a bare echo server
	$(BIN)/python -m benchmarks.broker

bench-recovery: $(READY) ## how long the reference bot takes from a SIGKILL to trading, per store
	$(BIN)/python -m benchmarks.recovery

coverage-page: $(READY) ## write COVERAGE.md anew from the code
	WRITE_PAGES=1 $(BIN)/pytest -q tests/unit/fakebroker/test_coverage_page.py

lint: $(READY) ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

imports: $(READY) ## who may import whom
	$(BIN)/lint-imports

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock

clean: ## remove the environment and the caches
	rm -rf .coverage .coverage.* coverage.json
	rm -rf $(VENV) .venv-clients .venv-other .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "crashgate needs Python 3.11 or newer; '$(PYTHON)' is older or missing: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "'$(PYTHON) -m venv' failed: install the venv module of that Python" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
