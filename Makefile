# The first two targets do all the set-up on a fresh machine: `make demo` and `make test`.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PROJECT := reference
# Tests wait more than they compute: two processes, each with servers and a lab of its own, keep two cores busy.
PROCESSES := 2
.DEFAULT_GOAL := help
# As for everybody who installs it: modules are compiled once, not at every start.
unexport PYTHONDONTWRITEBYTECODE
# The last line of a command is its own last line, also when another make has started this one.
MAKEFLAGS += --no-print-directory

.PHONY: help demo test check format bench docs lock clean
help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.run ## start the demo app, do one real job, verify it all (ONCE=1: then stop)
	@$(VENV)/bin/towline up --project $(PROJECT) $(if $(ONCE),--once)

test: $(VENV)/.dev ## install what the tests need and run them all (ROOM=unit: only one room)
	@sh scripts/test-needs.sh
	@$(VENV)/bin/python -m pytest tests$(if $(ROOM),/$(ROOM)) -n $(PROCESSES) --dist loadfile $(PYTEST)

check: $(VENV)/.dev ## format, lint, strict types, import rules, docs, sizes
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy src tests benchmarks scripts reference/cooly
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/python scripts/check_sizes.py
	@$(VENV)/bin/python scripts/check_docs.py

format: $(VENV)/.dev ## put every file into the one format
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

bench: $(VENV)/.dev ## BENCH=NAME, one of the files in benchmarks/: measure against a peer in the same run
	@$(VENV)/bin/python benchmarks/$(subst -,_,$(BENCH)).py

docs: $(VENV)/.dev ## print the reference pages from the models
	@$(VENV)/bin/python -m towline.cli.reference docs/reference

lock: $(VENV)/.dev ## compile the pinned requirements anew
	@sh scripts/lock.sh

clean: ## remove the environment and the tools' leftovers (never an app's data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.run: requirements/run.txt pyproject.toml
	@sh scripts/install.sh $(PYTHON) run

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@sh scripts/install.sh $(PYTHON) dev
