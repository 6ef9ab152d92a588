# Everything happens in .venv, made from nothing but Python >= 3.11 and make.
#
#   make demo      install the package alone, then privatize example images
#   make test      install what development needs, then the tests that take seconds
#   make test-all  every test, with coverage: what has to pass before a change lands
#   make install   install every extra and the development tools
#   make check     format, lint, types, layers (changes nothing)
#   make format    fix what the formatter and the linter can fix
#   make docs      build the documentation into site/
#   make dist      the wheel and the source archive, into dist/
#   make extras    the wheel in an empty environment with each extra alone (minutes, downloads)
#   make clean     remove .venv and everything that was built
#
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := pyproject.toml constraints.txt
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt -e

.PHONY: demo test test-all install check format docs dist extras clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.base
	@$(BIN)/deepfixcx demo

test: $(VENV)/.dev
	@.ci/programs
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.warming
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow'

test-all: $(VENV)/.dev
	@.ci/programs
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.warming
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --cov -n 2 --dist worksteal --durations=40

install: $(VENV)/.dev

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Built: open site/index.html"

dist: $(VENV)/.dev
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation >/dev/null
	@ls dist

extras: $(VENV)/.dev
	@.ci/extras

clean:
	rm -rf $(VENV) site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

# An empty file in .venv says that a set of packages is installed as the settings ask. A larger
# set holds the smaller ones, so it marks them too and `make demo` after `make test` has no work.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "deepfixcx needs Python 3.11 or newer, and '$(PYTHON)' is not (or is not there)." >&2; \
	  echo "Name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(SETTINGS) | $(VENV)/.made
	@echo "Installing deepfixcx into $(VENV) (about a minute) ..."
	@$(INSTALL) .
	@touch $@

$(VENV)/.dev: $(SETTINGS) | $(VENV)/.made
	@echo "Installing deepfixcx and its development tools into $(VENV) (a few minutes: PyTorch is among them) ..."
	@$(INSTALL) '.[dev]'
	@touch $(VENV)/.base $@
