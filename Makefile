# Two commands do all the set-up: `make demo` searches, `make test` runs the tests.

PYTHON ?= python3

# The environment is .venv. A PYTHON of another version than it has gets one of its own: `make test PYTHON=python3.12`
# makes and keeps .venv-3.12.
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null)
ifneq ($(PYTHON),python3)
  WANTED := $(call version,$(PYTHON))
  USUAL := $(call version,$(firstword $(wildcard .venv/bin/python) python3))
  ifeq ($(WANTED),)
    $(error PYTHON=$(PYTHON) cannot be run: searchkit needs Python 3.11 or newer, as in PYTHON=python3.12)
  endif
  ifneq ($(WANTED),$(USUAL))
    VENV ?= .venv-$(WANTED)
  endif
endif
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# pip would compile on one core, and Python at every start where it may not keep what it compiles; some files of some
# packages are for other versions of Python
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true
TORCH := $(shell grep '^torch==' constraints.txt)

# One thread a process: searchkit runs processes side by side, where more threads are slower.
export OMP_NUM_THREADS ?= 1

# What Python has compiled is kept: the tests begin hundreds of processes, which would compile the package anew each time.
unexport PYTHONDONTWRITEBYTECODE

# Two processes take modules in the order of tests/conftest.py, the longest first.
TWO := -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: demo test quick thorough lint notebooks docs gpu-report clean

demo: $(VENV)/.installed
	@echo "searching networks for handwritten digits, for two and a half minutes; Ctrl-C stops, and the same command goes on"
	@$(BIN)/searchkit run
	@echo "the program is $(abspath $(BIN))/searchkit: try \"$(abspath $(BIN))/searchkit list\", or add $(abspath $(BIN)) to PATH"

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TWO) -m "not thorough"

quick: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TWO) -m "not slow and not thorough"

# with what asks on a larger scale what a test of `make test` asks already
thorough: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TWO)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# published tables, where they are; without them a notebook says how to get them and goes on with what it can compute
notebooks: export SEARCHKIT_DATA ?= $(abspath ../shared/data)
notebooks: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --nbmake --nbmake-timeout=600 --durations=0 --override-ini=testpaths=notebooks notebooks

# into build/site; what is wrong with a link or a name is an error. build/site.made is as old as the beginning of a
# build without errors: tests/test_docs.py takes the site where nothing has changed since.
docs: $(VENV)/.installed-test
	rm -f build/site.made && mkdir -p build && touch build/site.begun
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	mv build/site.begun build/site.made

# gpu-report.md: what this machine's GPU does, in ten minutes. PYTHON has searchkit[test] and a torch built for the card.
gpu-report:
	$(PYTHON) -m benchmarks.gpu.report

# torch first and pinned: asked for by a range, pip would take a CUDA build of several gigabytes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "searchkit needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true): say which, as in make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "installing into $(VENV): some minutes, and about 2 GB"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) --constraint constraints.txt --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --constraint constraints.txt --editable '.[test]'
	@$(COMPILE)
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
