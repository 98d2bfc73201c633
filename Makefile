# What can I do here? `make help` lists it; `make run` opens the page.
# PYTHON names the interpreter for .venv (3.11 to 3.13); HOST and PORT say where the page is served.

.PHONY: help install install-dev run test test-slow check bench clean
.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /    make \1|/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

install: ## create .venv, install the requirements and Open3D's system libraries
	@sh setup/environment.sh requirements.txt
	@sh setup/open3d.sh

install-dev: install
	@sh setup/environment.sh requirements-dev.txt

run: install ## serve the page on http://127.0.0.1:7860
	@exec .venv/bin/python app.py

test: install-dev ## run every test that is not marked slow
	@sh setup/browser.sh
	@.venv/bin/python -m pytest

test-slow: install-dev ## run the tests marked slow
	@sh setup/browser.sh
	@.venv/bin/python -m pytest -m slow

check: install-dev ## formatting, lint, types and the import rule, of Python and of the page's scripts
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports
	DENO_DIR=.venv/deno DENO_NO_UPDATE_CHECK=1 .venv/bin/deno check --quiet --no-remote --no-npm viz/viewer
	DENO_DIR=.venv/deno .venv/bin/deno lint --quiet

bench: install-dev ## run every benchmark on an idle machine, print one table; RECORD=1 keeps it, DEVICE=cuda takes a GPU
	@sh setup/browser.sh
	@.venv/bin/python -m benchmarks $(if $(RECORD),--record) $(if $(DEVICE),--device $(DEVICE))

clean: ## remove .venv and every cache
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
