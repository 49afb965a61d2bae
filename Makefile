# Every command sets up what it needs in .venv, also on a fresh machine (see scripts/setup-venv).
# PYTHON=/path/to/python3 chooses the interpreter. Relative paths only: folders may hold spaces.
BIN := .venv/bin
export PYTHON

.PHONY: help demo test test-full setup clean

help:
	@echo 'make demo       play, train and report on one small study'
	@echo 'make test       lint, types and tests'
	@echo 'make test-full  the same with the slow tests'
	@echo 'make clean      remove caches and build outputs; .venv and runs stay'

demo: setup
	$(BIN)/counterplay demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pyright
	$(BIN)/python -m pytest

test-full: export COUNTERPLAY_FULL := 1
test-full: test

setup:
	@sh scripts/setup-venv

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find counterplay tests -name __pycache__ -type d -prune -exec rm -rf {} +
