# What .ci/run checks, one at a time, in the environment of requirements-test.txt.
.PHONY: all test lint format types

all: lint types test

test:
	python -m pytest

# Dead code counts as lint: vulture's settings, and what it may not call dead, are in pyproject.toml.
lint:
	ruff check .
	ruff format --check .
	vulture

format:
	ruff check --fix .
	ruff format .

types:
	mypy
