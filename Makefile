# `make` lists the targets. Everything is installed into .venv, .venv-matrix and .venv-bench, inside
# this folder.

PYTHON ?= python3
VENV ?= .venv

# Requirements for a new environment: make test VENV=.venv-django PINS='django~=5.2.0'
PINS ?=

# Tests start hundreds of commands, and without bytecode each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

# An interpreter for the tests on SQLAlchemy 2.0: make coverage MATRIX_PYTHON=python3.13
MATRIX_PYTHON ?= $(PYTHON)
MATRIX_VENV ?= .venv-matrix/sqlalchemy-2.0

# The compared packages have dependencies of their own, so they get their own environment.
BENCH_VENV ?= .venv-bench

EXTRAS := asyncpg,psycopg,mysql,asyncmy,sqlite,cli,starlette,fastapi,testing,django,flask,quart,starsessions,litestar,aiohttp,otel,encryption
BIN := $(VENV)/bin
MATRIX_BIN := $(MATRIX_VENV)/bin
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet
NEED_311 := import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")

# Options for pytest, for example: make test ARGS="-k sqlite -x"
ARGS ?=

# Processes that run tests: 0 for none but pytest itself, as a debugger needs. A process uses a
# database of its own on each server.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4
MATRIX_PYTEST := $(MATRIX_BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4

# The application that `make example` starts: fastapi or litestar.
SHOP ?= fastapi

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-matrix test-sqlalchemy-2.0 lint format types migrations-check coverage bench docs docs-serve build check-wheel clean django-check example faults fuzz sql

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.sqlite ## Show the store on a temporary SQLite file
	@$(BIN)/python examples/demo.py

example: $(VENV)/.example-$(SHOP) ## Start a shop on http://localhost:8000, on FastAPI; SHOP=litestar for Litestar
	$(BIN)/python -m uvicorn --app-dir examples --factory $(SHOP)_shop.shop:create_app $(ARGS)

test: $(VENV)/.dev ## Run the main tests on every database that is available; under two minutes
	$(PYTEST) --default-drivers -m "not other_stores" tests/unit tests/web tests/contract $(ARGS)

test-all: $(VENV)/.dev ## Run all tests through every driver; ARGS="tests/cli -k sqlite" selects some
	$(PYTEST) --dist loadscope --no-loadscope-reorder $(ARGS)

test-matrix: $(VENV)/.dev ## Run the tests on every version that is available; ARGS="python-3.14 django" selects rows
	PYTHONPATH=. $(BIN)/python .ci/matrix.py $(ARGS)

test-sqlalchemy-2.0: $(MATRIX_VENV)/.dev
	@$(MATRIX_BIN)/python -c 'import sqlalchemy, sys; print("Python", sys.version.split()[0], "SQLAlchemy", sqlalchemy.__version__)'
	$(MATRIX_PYTEST) tests/unit tests/contract $(ARGS)
	$(MATRIX_PYTEST) --default-drivers --dist loadscope tests/migrations tests/cli $(ARGS)

lint: $(VENV)/.dev ## Check the code with ruff, and the wording of all text
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.docs.english

format: $(VENV)/.dev ## Fix and format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check the types with mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

migrations-check: $(VENV)/.dev ## Migrate new databases up and down, and check for drift
	PYTHONPATH=. $(BIN)/python .ci/migrations_check.py

django-check: $(VENV)/.dev ## Run Django's own session tests, from its source distribution
	PYTHONPATH=. $(BIN)/python .ci/django_check.py

sql: $(VENV)/.dev ## Write the snapshots of all statements, tests/sql/*.sql, again
	$(BIN)/python -m pytest --write-sql tests/sql $(ARGS)

coverage: $(VENV)/.dev $(MATRIX_VENV)/.dev ## Require that the tests reach every line and branch
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not packaging" $(ARGS)
	$(MATRIX_BIN)/coverage run -m pytest tests/unit tests/contract $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

faults: $(VENV)/.dev ## Kill servers, cut networks and fill disks under load; ARGS="--list"; see docs/explanation/reliability.md
	$(BIN)/python -m tests.reliability $(ARGS)

fuzz: $(VENV)/.dev ## Try invalid input from new seeds; ARGS=minutes, or ARGS="--seed .."; see CONTRIBUTING.md
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(BENCH_VENV)/.bench ## Compare with other packages; make bench ARGS=--quick; see benchmarks/README.md
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## Build the site into build/site; a broken link is an error
	$(BIN)/zensical build --clean --strict
	SESSIONSTORE_TEST_SITE=build/site $(BIN)/python -m pytest tests/docs/test_site.py $(ARGS)

docs-serve: $(VENV)/.dev ## Show the site on http://localhost:8000, and reload it on every change
	$(BIN)/zensical serve

build: $(VENV)/.dev ## Build the sdist and, from it, the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist

check-wheel: $(VENV)/.dev ## Install the wheel in dist/ into an empty environment, and use it
	@test -d dist || { echo "There is no dist/: run make build first."; exit 1; }
	SESSIONSTORE_TEST_DIST=dist $(BIN)/python -m pytest tests/packaging $(ARGS)

clean: ## Remove everything that make created
	rm -rf $(VENV) .venv-matrix $(BENCH_VENV) benchmarks/node/node_modules dist build .coverage .coverage.* htmlcov
	rm -rf .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Packages are installed again when pyproject.toml is newer than the stamp. The installs are
# editable, so a change of the code needs none.

$(VENV)/.sqlite: pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --editable '.[sqlite]'
	@touch $@

$(VENV)/.example-%: pyproject.toml | $(BIN)/python
	@test -d examples/$*_shop || { echo "SHOP is fastapi or litestar, not $*"; exit 1; }
	$(BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BIN)/python $(PIP_INSTALL) --editable '.[$*,sqlite]' --group example
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BIN)/python $(PIP_INSTALL) --editable '.[$(EXTRAS)]' --group dev --group docs $(PINS)
	@touch $@ $(VENV)/.example-fastapi $(VENV)/.example-litestar $(VENV)/.sqlite

$(MATRIX_VENV)/.dev: pyproject.toml | $(MATRIX_BIN)/python
	$(MATRIX_BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(MATRIX_BIN)/python $(PIP_INSTALL) --editable '.[$(EXTRAS)]' --group dev 'sqlalchemy<2.1'
	@touch $@

$(BENCH_VENV)/.bench: pyproject.toml
	@$(PYTHON) -c '$(NEED_311)'
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --editable '.[$(EXTRAS)]' --group bench
	-cd benchmarks/node && npm install --no-package-lock
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c '$(NEED_311)'
	$(PYTHON) -m venv $(VENV)

$(MATRIX_BIN)/python:
	@$(MATRIX_PYTHON) -c '$(NEED_311)'
	$(MATRIX_PYTHON) -m venv $(MATRIX_VENV)
