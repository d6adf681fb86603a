# Annals: `make demo` shows it, `make test` tests it, `make` lists the rest.

.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
PACKAGES := $(wildcard contracts/messages/pyproject.toml infra/local/pyproject.toml libs/*/pyproject.toml services/*/pyproject.toml)
ARGS ?=
export KEEP
# Set once for all recipes, so that neither a developer's shell nor a CI runner changes what they do.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

.PHONY: help setup demo up down test containers lint types bench soak availability drill schemas contracts fmt lock isolated ci clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: .venv/.installed  ## install everything into .venv (nothing to do the second time)

.venv/.installed: requirements.lock infra/ci/setup.sh $(PACKAGES)
	@infra/ci/setup.sh

demo: setup  ## start a stack, run 5,000 real transactions through it, show the results (KEEP=1 leaves it running)
	@$(BIN)/python -m annals demo $(ARGS)

up: setup  ## start the local stack and the services in the background
	@$(BIN)/python -m annals up $(ARGS)

down: setup  ## stop them
	@$(BIN)/python -m annals down $(ARGS)

test: setup  ## run all tests against real servers (ARGS="-k name" picks some; STACK=docker takes servers from images)
	@$(BIN)/python -m local_stack fetch
	@$(if $(STACK),ANNALS_TEST_STACK=$(STACK)) $(if $(filter docker,$(STACK)),infra/images/docker.sh) \
		$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

containers: setup  ## bring docker-compose.yml up, play the demo, restart all under load; servers of tests from images
	@$(BIN)/python -m local_stack fetch
	@ANNALS_TEST_STACK=docker infra/images/docker.sh $(BIN)/python -m pytest -q tests/containers
	@$(MAKE) --no-print-directory test STACK=docker \
		ARGS="infra/local/tests/test_fixtures.py libs/eventlog libs/projections libs/messaging services/rewards"

lint: setup  ## style, formatting, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: setup  ## check the types
	@$(BIN)/mypy $(addsuffix src,$(dir $(PACKAGES))) infra/ci infra/images

bench: setup  ## measure each path against its bare baseline (ONLY=rebuild,relay measures some)
	@$(BIN)/python -m local_stack fetch
	@$(BIN)/python tests/load $(if $(ONLY),--only $(ONLY)) $(ARGS)

soak: setup  ## load, faults and kills on the chain service, then its log against the chain (SECONDS=600, ARGS="--seed 7")
	@$(BIN)/python -m local_stack fetch
	@$(BIN)/python tests/soak $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

availability: setup  ## load through the gateway while every process is restarted in turn (SECONDS=600)
	@$(BIN)/python -m local_stack fetch
	@$(BIN)/python tests/availability $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

drill: setup  ## destroy a database and a key store under load, restore both, measure RPO and RTO (SECONDS=60)
	@$(BIN)/python -m local_stack fetch
	@$(BIN)/python -m annals drill restore $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

schemas: setup  ## write the messages' JSON Schemas, AsyncAPI, .env.example, docs/metrics.md, access.md and dashboards (ARGS=--check only compares)
	@$(BIN)/python -m contracts.schemas $(ARGS)
	@$(BIN)/python infra/ci/generated.py $(ARGS)

contracts:  ## compile the Solidity contracts (ARGS=--check compares with the committed artefacts); needs Node 18+
	@cd contracts/solidity && npm install --no-package-lock --no-audit --no-fund --silent && node build.mjs $(ARGS)

fmt: setup  ## format the code
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format .

lock: setup  ## pin requirements.in anew (ARGS=--upgrade takes the newest versions)
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		requirements.in -o requirements.lock $(ARGS)

isolated: setup  ## install each package alone in an empty environment, import it and try it there (ARGS="--all eventlog")
	@$(BIN)/python -m local_stack fetch
	@$(BIN)/python infra/ci/isolated.py $(ARGS)

ci:  ## everything that has to pass before a merge
	@.ci/run

clean:  ## stop all stacks of this checkout and delete .venv, .local and caches
	@if [ -x $(BIN)/python ]; then for lock in $(wildcard .local/*/stack.lock); do \
		$(BIN)/python -m local_stack down --name "$$(basename "$$(dirname "$$lock")")" || true; done; \
		$(BIN)/python -m local_stack clean || true; fi
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis contracts/solidity/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
