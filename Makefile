# Everything a person does here is one of these words. `make` alone lists them.

PYTHON ?= python3
UV ?= uv
ARGS ?=
# How many tests run at a time. A server that DATABASE_URL names has one set of roles, so there they run one by one.
WORKERS ?= $(if $(DATABASE_URL),0,auto)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-reset test soak mutants refusals permissions bench-database bench-verify bench-scale bench-connections bench-budgets bench-hostile bench-reads bench-writes bench-followed bench-subscriptions bench-sweeps bench-lots clients lint types schema lock clean metrics bench-metrics bench-traces events

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP) ## Set everything up and run Treue with a demo business; Ctrl-C ends it (ARGS="..." are passed on)
	@$(BIN)/treue demo $(ARGS)

demo-reset: $(STAMP) ## Delete the demo in .treue: the embedded database and all else (not what DATABASE_URL names)
	@env -u DATABASE_URL -u TREUE_DATA_DIR $(BIN)/treue database reset --yes
	@rm -rf .treue

test: $(STAMP) ## Run every test, on a PostgreSQL per core (ARGS="-k name" for some, WORKERS=0 for a debugger)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile $(ARGS)

soak: $(STAMP) ## The long tests: 1,000,000 random steps, hours of faults (SEED=... repeats a run, ARGS="-k lives" for some)
	@seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; echo "SEED=$$seed"; \
	SOAK=1 SEED=$$seed $(BIN)/python -m pytest -s -m "soak or hypothesis" --hypothesis-seed=$$seed $(ARGS)

mutants: $(STAMP) ## Take every part of every wall and every comparison of a tenant away, one at a time: each must be noticed (2 minutes)
	@MUTANTS=1 $(BIN)/python -m pytest -q -s tests/mutants tests/plans/test_plans.py $(ARGS)

bench-connections: $(STAMP) ## Measure 5,000 sockets: how they connect, what they cost, when revoked ones are gone
	@$(BIN)/python -m bench.connections $(ARGS)

bench-budgets: $(STAMP) ## Measure the neighbour of a tenant beyond its budget: p50 and p99, and what budgets cost
	@$(BIN)/python -m bench.budgets $(ARGS)

bench-hostile: $(STAMP) ## Measure another client while one token sends hostile documents: p50 and p99, with and without
	@$(BIN)/python -m bench.hostile $(ARGS)

bench-reads: $(STAMP) ## Measure reads beside graphql-core and PostGraphile: a customer, a page, a connection (needs npm; brings Node 22)
	@cd bench/peers/reads && npm install --no-package-lock --no-audit --no-fund --silent
	@$(BIN)/python -m bench.reads --peer $(ARGS)

bench-metrics: $(STAMP) ## Measure what metrics cost a server: the reads of bench-reads, with and without
	@$(BIN)/python -m bench.reads --compare metrics $(ARGS)

bench-traces: $(STAMP) ## Measure what traces cost a server: the reads of bench-reads, with and without
	@$(BIN)/python -m bench.reads --compare traces $(ARGS)

bench-writes: $(STAMP) ## Measure recording purchases, next to pgbench and COPY that write the same rows in the same run
	@$(BIN)/python -m bench.writes $(ARGS)

bench-followed: $(STAMP) ## Measure what followed logs cost a process while nothing happens in them
	@$(BIN)/python -m bench.followed $(ARGS)

bench-subscriptions: $(STAMP) ## Measure one event to 1,000 subscribers beside a graphql-ws server in Node (needs Node 20 and npm)
	@cd bench/peers && npm install --no-package-lock --no-audit --no-fund --silent
	@$(BIN)/python -m bench.subscriptions $(ARGS)

bench-sweeps: $(STAMP) ## Measure what it costs each second to look who has something due
	@$(BIN)/python -m bench.sweeps $(ARGS)

bench-lots: $(STAMP) ## Measure purchases, quotes and holds of a customer with thousands of lots
	@$(BIN)/python -m bench.lots $(ARGS)

clients: ## Install what the guide's TypeScript is tried with (needs npm); tests use it when it is there
	@cd tests/clients && npm install --no-package-lock --no-audit --no-fund

lint: $(STAMP) ## Check style, format and the layers of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(STAMP) ## Check the types
	$(BIN)/mypy

bench-database: $(STAMP) ## Measure what a read costs through the multiplexer and through the pool, in turns
	@$(BIN)/python -m bench.database $(ARGS)

bench-verify: $(STAMP) ## Measure `treue verify` on a million entries (ARGS="--entries 10000000" for more)
	@$(BIN)/python -m bench.verify $(ARGS)

bench-scale: $(STAMP) ## Measure how reads, reports and writes grow with the past: 0.2 and 2 million entries (ARGS="--entries ..." for more)
	@$(BIN)/python -m bench.scale $(ARGS)

schema: $(STAMP) ## Write schema/schema.graphql and schema/platform.graphql anew
	@$(BIN)/treue schema > schema/schema.graphql.new
	@mv schema/schema.graphql.new schema/schema.graphql
	@$(BIN)/treue schema --platform > schema/platform.graphql.new
	@mv schema/platform.graphql.new schema/platform.graphql

refusals: $(STAMP) ## Write docs/reference/refusals.md and the tables in tests/permissions/ anew
	@$(BIN)/python -m tests.docs.refusals
	@$(BIN)/python -m tests.permissions.matrix

permissions: $(STAMP) ## Write the tables of docs/reference/permissions.md anew
	@$(BIN)/python -m tests.docs.permissions

events: $(STAMP) ## Keep payloads of new versions, and write the tables of docs/reference/events.md again
	@$(BIN)/python -m tests.loyalty.rules.payloads
	@$(BIN)/python -m tests.docs.events

metrics: $(STAMP) ## Write the tables of docs/reference/metrics.md anew
	@$(BIN)/python -m tests.docs.metrics

lock: ## Make the locks anew from pyproject.toml (needs uv)
	$(UV) pip compile pyproject.toml --extra embedded --extra traces $(LOCK_OPTIONS) --output-file requirements.txt
	$(UV) pip compile pyproject.toml --extra embedded --extra traces --extra dev --constraint requirements.txt $(LOCK_OPTIONS) --output-file requirements-dev.txt

clean: ## Delete what was built and cached; the demo's data stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.treue/*' -prune -exec rm -rf {} +

# The environment, from the lock and nothing else. The stamp tells that it is as the lock wants it.
$(STAMP): requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "Treue needs Python 3.11 or newer, and '$(PYTHON)' was not found." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "Treue needs Python 3.11 or newer; $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.11" % v[:2])'
	@echo "Installing into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment: is the package python3-venv missing?" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --progress-bar off --no-input --require-hashes --requirement requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --progress-bar off --no-input --no-deps --no-build-isolation --no-index --editable .
	@touch $(STAMP)
