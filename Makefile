# `make` says what there is. Everything is installed into .venv, .venv-matrix and .venv-bench; nothing
# leaves this folder.

PYTHON ?= python3
VENV ?= .venv

# Another interpreter for SQLAlchemy's older line: make test-matrix MATRIX_PYTHON=python3.13
MATRIX_PYTHON ?= $(PYTHON)
MATRIX_VENV ?= .venv-matrix

# The peers bring what they need, which is no business of the tests.
BENCH_VENV ?= .venv-bench

EXTRAS := asyncpg,psycopg,mysql,asyncmy,sqlite,cli,starlette,fastapi,testing,django,starsessions,litestar,aiohttp,otel
BIN := $(VENV)/bin
MATRIX_BIN := $(MATRIX_VENV)/bin
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet
NEED_311 := import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")

# For example: make test ARGS="-k sqlite -x"
ARGS ?=

# make example: fastapi or litestar.
SHOP ?= fastapi

.DEFAULT_GOAL := help
.PHONY: help demo test test-matrix lint format types migrations-check coverage bench docs docs-serve build check-wheel clean django-check example faults fuzz

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.sqlite ## Show the store at work, on a SQLite file that is deleted again
	@$(BIN)/python examples/demo.py

example: $(VENV)/.example-$(SHOP) ## Open a shop on http://localhost:8000, on FastAPI; on Litestar with SHOP=litestar
	$(BIN)/python -m uvicorn --app-dir examples --factory $(SHOP)_shop.shop:create_app $(ARGS)

test: $(VENV)/.dev ## Run the tests on every database there is; see CONTRIBUTING.md
	$(BIN)/python -m pytest $(ARGS)

test-matrix: $(MATRIX_VENV)/.dev ## Run unit and contract tests on SQLAlchemy 2.0 (MATRIX_PYTHON=..)
	@$(MATRIX_BIN)/python -c 'import sqlalchemy, sys; print("Python", sys.version.split()[0], "SQLAlchemy", sqlalchemy.__version__)'
	$(MATRIX_BIN)/python -m pytest tests/unit tests/contract $(ARGS)

lint: $(VENV)/.dev ## Check the code with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check the types with mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

migrations-check: $(VENV)/.dev ## Migrate new databases, up and down, and look for drift
	PYTHONPATH=. $(BIN)/python .ci/migrations_check.py

django-check: $(VENV)/.dev ## Run Django's own session tests, which come with its source
	PYTHONPATH=. $(BIN)/python .ci/django_check.py

coverage: $(VENV)/.dev $(MATRIX_VENV)/.dev ## Require that the tests reach every line and branch
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not packaging" $(ARGS)
	$(MATRIX_BIN)/coverage run -m pytest tests/unit tests/contract $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

faults: $(VENV)/.dev ## Kill, cut and fill real servers under load; ARGS="--list"; see docs/reliability.md
	$(BIN)/python -m tests.reliability $(ARGS)

fuzz: $(VENV)/.dev ## Try bad input from new seeds; ARGS=minutes, or ARGS="--seed .."; see CONTRIBUTING.md
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(BENCH_VENV)/.bench ## Compare with peers; make bench ARGS=--quick; see benchmarks/README.md
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## Build the site into build/site; a broken link is an error
	$(BIN)/zensical build --clean --strict
	SESSIONSTORE_TEST_SITE=build/site $(BIN)/python -m pytest tests/docs/test_site.py $(ARGS)

docs-serve: $(VENV)/.dev ## Show the site on http://localhost:8000, and each change as it is made
	$(BIN)/zensical serve

build: $(VENV)/.dev ## Build the sdist and, from it, the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist

check-wheel: $(VENV)/.dev ## Install what is in dist/ into an empty venv, and use it
	@test -d dist || { echo "There is no dist/: run make build first."; exit 1; }
	SESSIONSTORE_TEST_DIST=dist $(BIN)/python -m pytest tests/packaging $(ARGS)

clean: ## Remove everything that make made
	rm -rf $(VENV) $(MATRIX_VENV) $(BENCH_VENV) benchmarks/node/node_modules dist build .coverage .coverage.* htmlcov
	rm -rf .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than pyproject.toml exactly when something has to be installed again. The
# installs are editable, so a change of the code is no reason.

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
	$(BIN)/python $(PIP_INSTALL) --editable '.[$(EXTRAS)]' --group dev --group docs
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
