# Needs a Python of 3.10 to 3.13 and make; everything else goes into a virtual environment here.
# `make help` lists the targets. `make test PYTHON=python3.13` uses that Python, in an
# environment of its own beside the usual one.

# A Python named by the user gets its own environment, so that several versions live side by side.
ifeq ($(PYTHON),)
VENV := .venv
else
VENV := .venv-$(notdir $(PYTHON))
endif
PYTHONS := $(or $(PYTHON),python3 python3.12 python3.11 python3.10 python3.13)

# Macs with an Intel processor get neither a recent TensorFlow nor numba: there
# pip chooses the versions.
ifeq ($(shell uname -sm),Darwin x86_64)
VERSIONS := --prefer-binary
else
VERSIONS := -c constraints.txt
endif

# In the order of collection: files with few tests, some of which play sound for minutes, would
# otherwise come last, with one core waiting for them.
PYTEST_FLAGS ?= -n 2 --dist=loadfile --no-loadscope-reorder --durations=40

export PIP_DISABLE_PIP_VERSION_CHECK := 1
TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_CPP_MIN_LOG_LEVEL

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: bench bench-full clean constraints demo format help lint test test-fast test-nightly

demo: $(VENV)/.installed ## make a small data set, train on it and label recordings held out
	$(VENV)/bin/python -m sound_pipeline.demo_data demo_data
	$(VENV)/bin/python train.py --flagfile=configs/demo.cfg
	$(VENV)/bin/python serve_mic.py --model=runs/demo/saved_model --input=demo_data/heldout

test: lint ## lint, then every test but the nightly ones
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS)

test-fast: $(VENV)/.installed-test ## the quick tests alone
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS) -m "not nightly and not slow"

test-nightly: $(VENV)/.installed-test ## the slow forms of the tests alone
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS) -m nightly

bench: $(VENV)/.installed-test ## measure what has a target, in short; bench-full at length
	$(VENV)/bin/python -m benchmarks.all

bench-full: $(VENV)/.installed-test
	$(VENV)/bin/python -m benchmarks.all --full

lint: $(VENV)/.installed-test ## ruff (rules and format) and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.installed-test ## let ruff format the code and sort its imports
	$(VENV)/bin/ruff check --select I --fix .
	$(VENV)/bin/ruff format .

constraints: $(VENV)/bin/pip ## write constraints.txt anew, with the newest versions that fit
	$(VENV)/bin/python -m pip install --quiet uv
	{ printf '# %s\n' \
	    'The exact versions this project is tested with: TensorFlow 2.17 on Python 3.10-3.12,' \
	    'TensorFlow 2.21 on Python 3.13 and on Windows. Used as: pip install -c constraints.txt -e .' \
	    'Write it anew with: make constraints' \
	  && $(VENV)/bin/uv pip compile setup.cfg --quiet --universal --python-version 3.10 \
	    --extra dev --no-header --no-annotate; } > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean: ## remove the environments, the caches and what the demo wrote (other runs stay)
	rm -rf .venv .venv-* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	rm -rf demo_data runs/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F': ' '{printf "make %-14s%s\n", $$1, $$2}'

# A command named python3.12 may exist and not run (pyenv), or lack venv (Debian): each is tried.
# 3.13 comes last, because tensorflow-io has no wheel for it. pip is the last thing a virtual
# environment gets, so a half-made one is made again.
$(VENV)/bin/pip:
	@for newest in 12 13; do \
	  for python in $(PYTHONS); do \
	    if "$$python" -c "import ensurepip, sys, venv; \
	sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $$newest))" 2>/dev/null; then \
	      echo "making $(VENV) with $$python"; \
	      exec "$$python" -m venv $(VENV); \
	    fi; \
	  done; \
	done; \
	echo "found no Python 3.10 to 3.13 with venv (tried: $(PYTHONS)): install one (Debian:" \
	  "apt-get install python3-venv) or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

define install
@echo "installing into $(VENV) (about $(2) minutes)"
@$(VENV)/bin/python -m pip install --quiet $(VERSIONS) -e "$(1)"
endef

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(call install,.,2)
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(call install,.[test],3)
	@touch $@ $(VENV)/.installed
