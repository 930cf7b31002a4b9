# `make run` builds and starts Towpath; `make test` runs every check. Both work on a machine with Rust, a C compiler and
# Python; what else they need they build or install, and say so.

CARGO ?= cargo
DATA_DIR ?= towpath-data
LISTEN ?= 127.0.0.1:4747

ROUNDS ?= 10

.PHONY: run build release test lint unit hunt blackbox bench help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/	/' | expand -t 14

run: build ## Build and start the server on $(LISTEN), with its data in ./$(DATA_DIR)
	@exec $(BIN)/towpath serve --data-dir $(DATA_DIR) --listen $(LISTEN)

build: ## Build the server and command line
	$(CARGO) build --locked --workspace --bins

release: ## Build with all optimisations, for installing and for benchmarks
	$(CARGO) build --locked --release -p towpath

test: lint unit blackbox ## Run every check

lint: ## Formatting, lints, and whether generated code is that of the service models
	$(CARGO) fmt --all --check
	@env=$$(tools/python-env) && $$env/bin/python tools/generate_operations.py --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit: ## Unit, contract, property and .slt tests
	$(CARGO) test --locked --workspace --no-fail-fast

hunt: ## Unit and property tests $(ROUNDS) times, each with other random cases
	@for round in $$(seq $(ROUNDS)); do \
	  export PROPTEST_RNG_SEED=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); \
	  echo "round $$round of $(ROUNDS), PROPTEST_RNG_SEED=$$PROPTEST_RNG_SEED"; \
	  $(CARGO) test --quiet --locked --workspace --lib --bins || exit 1; \
	done

bench: ## Benchmarks beside PostgreSQL, DuckDB and ClickHouse, on small data (bench/README.md)
	bench/run

blackbox: build ## Black-box tests with boto3, the AWS CLI and moto against a real server
	$(CARGO) build --locked --workspace --bins --examples
	@env=$$(tools/python-env) && TOWPATH_BIN=$(BIN)/towpath $$env/bin/python -m pytest -q tests/blackbox

BIN = $(shell $(CARGO) metadata --locked --no-deps --format-version 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/debug
