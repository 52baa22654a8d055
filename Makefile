# What you run here. .ci/run calls these targets too, so each command stands once.
#
# The tests run against the installed package: after a change, `make build` installs it again.
# Variables: make test PYTHON=…/bin/python ARGS="-x tests/core"

# The interpreter that the environment is made from, and the environment's own.
BASE = python3
PYTHON = .venv/bin/python
# What `make install` brings beside gcctl and what its tests need.
GROUPS = lint types
# Options and paths for pytest.
ARGS =

PIP = $(PYTHON) -m pip --disable-pip-version-check
# -I keeps the source tree off the path.
PYTEST = $(PYTHON) -Im pytest
# The programs of the environment come before those of the machine.
export PATH := $(abspath $(dir $(firstword $(PYTHON)))):$(PATH)

.DEFAULT_GOAL = help
.PHONY: help
help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: install build
install:  ## make .venv, with gcctl, the tests' needs and the linters
	$(BASE) -m venv .venv
	$(PIP) install -q -U pip
	$(PIP) install -q ".[test]" $(GROUPS:%=--group %)

build:  ## compile and install gcctl again
	rm -rf build
	$(PIP) install -q --no-deps --no-build-isolation .

.PHONY: test test-all twin
test:  ## the quick tests: run them after each change
	$(PYTEST) -q $(ARGS)

test-all:  ## the slow tests too
	$(PYTEST) -q -m "" $(ARGS)

twin:  ## the quick tests with the pure-Python twin
	GCCTL_IMPL=python $(PYTEST) -q $(ARGS)

.PHONY: lint format lint-python lint-cython lint-c lint-paths
lint: lint-python lint-cython lint-c lint-paths  ## all linters

C_FILES = $(shell find csrc -name '*.[ch]')
CYTHON_FILES = $(shell find gcctl bench -name '*.pyx' -o -name '*.px[di]')
HEADERS = $(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_path('include'))")

lint-python:
	ruff check .
	ruff format --check .

lint-cython:
	cython-lint $(CYTHON_FILES)

lint-c:
	clang-format --dry-run --Werror $(C_FILES)
	gcc -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only \
		-Icsrc -isystem $(HEADERS) $(filter %.c,$(C_FILES))

# Paths of one machine have no place in the project. (The brackets keep this line from being found.)
lint-paths:
	! git grep -nIE '/(wor[k]|roo[t])/|/home/[a-z]'

format:  ## put Python and C into shape
	ruff check --fix .
	ruff format .
	clang-format -i $(C_FILES)

# stubtest compares the stubs of the compiled modules with the modules. It must not find the source
# tree first: hence the folder.
.PHONY: types
types:  ## the types, and the stubs of the compiled modules
	mypy
	cd .ci && stubtest --ignore-disjoint-bases --allowlist stubtest-allowlist \
		gcctl._core.compiled gcctl._memory.compiled gcctl._interpreter.compiled gcctl._concurrent.compiled

.PHONY: docs-check
docs-check:  ## the examples and links of the documentation
	$(PYTEST) -q tests/project/test_docs.py

.PHONY: bench
bench:  ## every benchmark, as short as it goes; `python -m bench` lists them
	$(PYTHON) -m bench all --quick

.PHONY: clean
clean:  ## remove what was built and cached; .venv stays
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find gcctl bench tests -name __pycache__ -prune -exec rm -rf {} +
	find gcctl -name '*.so' -delete
	find gcctl -name '*.pyx' | sed 's/pyx$$/c/' | xargs rm -f
