# SPDX-License-Identifier: Apache-2.0
# Written by `.venv/bin/python -m tiled_se.cli.makefile` from cli/commands.py. Do not edit.
#
## tiled-se: a streaming tiled squeeze-and-excite block as RTL
##
##   make sim K=7 W=56 C=64        build the block, simulate it and compare every output with the golden model
##   make verilog K=7 W=56 C=64    write the block's Verilog, a bench, and files with which other tools take it
##   make synth K=7 W=56 C=64      synthesise the block for an FPGA: cells, block RAM, clock
##   make bench                    measure the blocks of known networks, and write tables and plots
##   make simspeed                 measure how fast the block simulates, by four benches
##   make sweep                    simulate a list of configurations, on all cores or on a cluster
##   make inspect MODEL=model.onnx
##                                 list the squeeze-and-excite blocks of an ONNX network
##   make swap K=7 MODEL=model.onnx OUT=tiled.onnx
##                                 tile the squeeze-and-excite blocks of an ONNX network, with the same weights
##   make build K=7 MODEL=model.onnx INPUT_SHAPE=3x640x640 CALIBRATION=images/ OUT=rtl/
##                                 quantise, build and co-simulate every squeeze-and-excite block of an ONNX
##                                 network
##   make report MODEL=EfficientDet-D2
##                                 count what tiles save and cost in a network, block by block
##   make sensitivity MODEL=model.onnx INPUT_SHAPE=3x640x640 CALIBRATION=images/
##                                 see how well the tiles of an ONNX network stand for its whole feature maps
##   make plan MODEL=model.onnx INPUT_SHAPE=3x640x640 CALIBRATION=images/ BUDGET=64KiB
##                                 choose context, K and output format of each block of an ONNX network for a
##                                 memory budget
##   make evaluate K=7 MODEL=model.onnx DATA=images/
##                                 compare an ONNX network with its tiled forms, in float and in integers, on your
##                                 data
##   make demo                     run a trained text detector with tiled blocks, in float, in integers and in RTL
##   make study                    train networks with tiled blocks, and compare their accuracy with that of
##                                 squeeze-and-excite
##   make prove                    prove that the block loses, repeats and mixes up nothing
##   make mutate                   measure how many faults in the netlist the regression notices
##   make crosscheck               compare simulators, and the synthesised netlist, on every named configuration
##   make soak                     stream millions of beats through random blocks
##   make verify                   run prove, mutate, crosscheck and soak, and write their figures into the
##                                 documentation
##
## Variables of sim, verilog and synth (the same ones make the same hardware)
##
##   shape        K=7             rows of a tile; strips of K >= H rows are the original squeeze-and-excite
##                W=              width of the feature map (default: INPUT's)
##                C=              channels (default: those of INPUT or WEIGHTS)
##                H=              height of the simulated frames; the hardware takes any height (default: INPUT's,
##                                else W)
##                CR=             squeezed channels, between the two layers (default: those of WEIGHTS, else C / 4,
##                                at least 1)
##                CONTEXT=tile    rows whose mean gives a tile's gates: tile (its own), cumulative (all up to its
##                                last one), causal (all before it: nothing waits) or window (those of WINDOW, for
##                                the whole frame)
##                TILE_W=         columns of a tile of CONTEXT=tile (default: W)
##                PRIOR=          imaginary rows, equal to the prior, in the means of cumulative and causal; at
##                                least 1 for causal (default: 1 for causal, and for cumulative if WEIGHTS has a
##                                prior, else 0)
##                MAX_ROWS=4096   rows of a frame that count in the means of cumulative and causal
##                WINDOW=         first row and number of rows of CONTEXT=window (default: none)
##                ORDER=rows      order of the stream's pixels: row by row, or column by column; K, PRIOR, MAX_ROWS
##                                and WINDOW then count columns, TILE_W counts rows, and H is the hardware's, W
##                                free
##   hardware     RAM_STYLE=      what synthesis shall make memories of: block, distributed, ultra for each of
##                                tile_buffer, scale_fifo, accumulator, weight, other; an attribute for Vivado,
##                                Quartus and Synplify; without it they choose
##                DSP_STYLE=      what synthesis shall make multipliers of: dsp or logic (default: its choice)
##                LANES=          channels that a beat carries; must divide C (default: the largest divisor up to
##                                8)
##                MACS=           multipliers that both layers share; auto: the fewest that sustain a beat a cycle
##                                within SRAM_OVERHEAD; more than the larger of C and CR would be idle and are not
##                                built (default: auto)
##                SRAM_OVERHEAD=  memory beyond what must wait that MACS=auto may spend: a fraction of what must
##                                wait, or, in other contexts than tile, of seven rows; with SLACK given, cycles
##                                that a tile may take beyond its beats (default: 0.05; 0.1 for tiles narrower than
##                                the map)
##                SLACK=          tile buffer beyond what must wait; auto: what full rate takes; 0: none, the input
##                                pauses once a tile (default: auto)
##                LOADABLE=       1: parameters come through w_axis; 0: they are baked in (default: 0 with WEIGHTS,
##                                else 1)
##                WEIGHT_BITS=8   bits of a weight
##                OPERAND_BITS=   width of tile means and hidden vector; auto: what ERROR takes, but if loadable at
##                                least 10 more than the data have (default: auto)
##                ERROR=1.0       largest error against float64 that the widths may bring, in LSB of the output
##                HARDWARE=       manifest.json of a loadable block, for which another parameter stream is made:
##                                its number formats are kept
##                REGISTERS=none  registers for status, errors, reset and parameters: none, or axi-lite, which adds
##                                an AXI4-Lite port in the place of w_axis and writes their map
##   functions    MID=            activation between the layers: relu, relu6, silu, hardswish, identity (default:
##                                that of WEIGHTS, else relu)
##                GATE=           activation after them: sigmoid, hardsigmoid or hardsigmoid:SLOPE,OFFSET; by
##                                default SLOPE is 1/6 and OFFSET 1/2 (default: that of WEIGHTS, else sigmoid)
##                RESIDUAL=       1: y = x + x * gate (default: what WEIGHTS says, else 0)
##                WEIGHTS=        .npz with float w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C) and perhaps w1_step (CR),
##                                w2_step (C), prior (C), mid, gate, residual, y_scale, y_zero_point (default:
##                                random)
##   data         INPUT=          .npz with float x, or integer x_q with x_scale and x_zero_point, and perhaps
##                                x_bits; (H, W, C) or (N, H, W, C) (default: random)
##                DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: that of INPUT's
##                                x_q or x_bits, else int8)
##                ZERO_POINT=     integer of the input that stands for 0.0 (default: from INPUT, else 0, or for
##                                unsigned ones the middle)
##                Y_DTYPE=        integers of the output (default: DTYPE)
##                Y_SCALE=        real value of an output's step; auto: the least that holds what the float block
##                                gives on INPUT, or without it on any frames (default: that of WEIGHTS, else the
##                                input's, twice that for RESIDUAL=1)
##                Y_ZERO_POINT=   integer of the output that stands for 0.0 (default: that of WEIGHTS, else what
##                                fits with Y_SCALE=auto, else the input's)
##                FRAMES=         frames, back to back (default: INPUT's, else 2)
##                SEED=1          of random weights, data and pauses
##   run          STALL=0.0       probability that either side pauses in a cycle, from 0 to under 1
##                SIM=verilator   simulator: verilator or icarus
##                WAVES=0         1: write waveforms
##   synthesis    TARGET=ecp5     FPGA family: ecp5, ice40 or xilinx
##                SEEDS=1,2,3     of place and route, one run each
##   output       OUT=            where results go (default: build/ and a name that tells the command and what it
##                                is given)
##                NAME=tiled_se   top module and file
##
## Variables of bench, besides OUT
##
##   bench        NETWORK=        networks to measure, with commas between them, or a .json file of your own
##                                (default: all that are known)
##                BLOCKS=         blocks to measure instead (default: those of the networks)
##                DOCS=           where benchmarks.md and its plots go (default: docs; with NETWORK or BLOCKS OUT)
##   batch        JOBS=           tasks at a time (default: one for each core)
##
## Variables of simspeed, besides K, W, C, H, CR, CONTEXT, TILE_W, PRIOR, MAX_ROWS, WINDOW, ORDER, LANES, MACS,
## SRAM_OVERHEAD, SLACK, LOADABLE, WEIGHT_BITS, OPERAND_BITS, ERROR, MID, GATE, RESIDUAL, WEIGHTS, INPUT, DTYPE,
## ZERO_POINT, Y_DTYPE, Y_SCALE, Y_ZERO_POINT, FRAMES, SEED, STALL, OUT, NAME
##
##   bench        DOCS=           folder whose benchmarks.md takes the figures in (default: none)
##                REPEATS=3       rounds, of which the fastest counts
##                SECONDS=4.0     CPU seconds that each bench runs in each round, at least one frame
##
## Variables of sweep, besides OUT
##
##   sweep        CONFIGS=        .toml with the configurations to simulate (default: a list of 38 that comes
##                                along)
##                SCHEDULER=      dask.distributed scheduler whose workers simulate (default: this machine's cores)
##   batch        JOBS=           simulations at a time (default: one for each core, or for each thread of a
##                                scheduler's workers)
##
## Variables of inspect, besides K, CONTEXT, TILE_W, MAX_ROWS, WINDOW, ORDER
##
##   shape        PRIOR=          imaginary rows, equal to the prior, in the means of cumulative and causal; at
##                                least 1 for causal (default: 1 for causal, and for cumulative if CALIBRATION
##                                gives a prior, else 0)
##   model        MODEL=          .onnx file of the network
##                INPUT_SHAPE=    size of the network's input, like 3x640x640 (default: what the model declares)
##                CHECK_BLOCKS=1  1: blocks are run on random maps, and those that compute something else than was
##                                recognised are left out
##   output       JSON=           where the list goes as JSON, too (default: nowhere)
##
## Variables of swap, besides CONTEXT, TILE_W, MAX_ROWS, WINDOW, ORDER, MODEL, INPUT_SHAPE, CHECK_BLOCKS
##
##   shape        K=7             rows of a tile; strips of K >= H rows are the original squeeze-and-excite;
##                                NAME=ROWS for single blocks, by the names that `inspect` prints; or a .json file
##                                as PLAN
##                PRIOR=          imaginary rows, equal to the prior, in the means of cumulative and causal; at
##                                least 1 for causal (default: 1 for causal, and for cumulative if CALIBRATION
##                                gives a prior, else 0)
##                PLAN=           .json with the tiling of each block, as `plan` writes it; blocks that it lacks
##                                have what the other options say (default: none)
##   model        CALIBRATION=    folder with images (.png, .jpg, .bmp) or arrays (.npy, .npz) from which
##                                cumulative, causal and window get their prior, the mean of each block's map
##                                (default: the prior is 0)
##                LIMIT=16        inputs that are used, spread over the folder and its arrays
##                MEAN=           subtracted from an image's channels, which are from 0 to 1 (default:
##                                0.485,0.456,0.406; 0 for a network that takes integers)
##                STD=            by which the channels are then divided (default: 0.229,0.224,0.225; 1/255 for a
##                                network that takes integers)
##                BGR=0           1: an image's channels are blue, green, red
##                SKIP=           blocks that stay squeeze-and-excite (default: none)
##                KEEP_QUANTISED=0
##                                1: a quantised network's blocks keep their nodes, quantisers and weights, and
##                                only the mean is tiled; 0: they become float blocks
##   output       OUT=            the .onnx file to write (default: the model's name with _tseK; in other contexts
##                                with the context; with _planned where blocks differ)
##
## Variables of build, besides CONTEXT, TILE_W, MAX_ROWS, WINDOW, ORDER, PLAN, RAM_STYLE, DSP_STYLE, MACS,
## SRAM_OVERHEAD, SLACK, OPERAND_BITS, ERROR, STALL, INPUT_SHAPE, CHECK_BLOCKS, LIMIT, MEAN, STD, BGR, SKIP, JOBS,
## OUT
##
##   shape        K=7             rows of a tile; strips of K >= H rows are the original squeeze-and-excite;
##                                NAME=ROWS for single blocks, by the names that `inspect` prints; or a .json file
##                                as PLAN
##                PRIOR=          imaginary rows, equal to the prior, in the means of cumulative and causal; at
##                                least 1 for causal (default: 1 for causal, and for cumulative if CALIBRATION
##                                gives a prior, else 0)
##   hardware     LANES=          the most channels that a beat may carry; each block has the largest divisor of
##                                its own channels (default: 8)
##                LOADABLE=       1: parameters come through w_axis; 0: they are baked in (default: 0)
##                WEIGHT_BITS=    bits of a weight (default: a quantised network's, else 8)
##   data         DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised
##                                network's, else int8)
##                Y_DTYPE=        integers of the output (default: a quantised network's, else DTYPE)
##                Y_SCALE=        real value of an output's step; auto: by CALIBRATE_BY (default: a quantised
##                                network's, else with Y_DTYPE auto, else the input's, twice that for a residual)
##                Y_ZERO_POINT=   integer of the output that stands for 0.0 (default: a quantised network's, else
##                                what fits with Y_SCALE=auto or Y_DTYPE, else the input's)
##                FRAMES=         images whose feature maps are simulated (default: 2)
##                SEED=1          of the pauses
##   model        MODEL=          .onnx file of the network, or folder that export_blocks has written of a PyTorch
##                                network
##                CALIBRATION=    folder with images (.png, .jpg, .bmp) or with arrays (.npy, .npz) that are inputs
##                                of the network as it is, (C, H, W) or (N, C, H, W)
##                CALIBRATE_BY=   how the images decide the range of a data format: min-max (of all numbers),
##                                percentile:P (of P %; 99.99 without a number), mse (of the least squared error)
##                                or auto, the one with the least error of the block's outputs on images held out
##                                (default: auto)
##
## Variables of report, besides PLAN, MACS, SRAM_OVERHEAD, SLACK, INPUT_SHAPE, CHECK_BLOCKS, JOBS, OUT
##
##   shape        K=7             rows of a tile; strips of K >= H rows are the original squeeze-and-excite;
##                                NAME=ROWS for single blocks, by the names that `inspect` prints; or a .json file
##                                as PLAN
##   hardware     LANES=          the most channels that a beat may carry; each block has the largest divisor of
##                                its own channels (default: 8)
##                WEIGHT_BITS=    bits of a weight (default: a quantised network's, else 8)
##   data         DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised
##                                network's, else int8)
##                Y_DTYPE=        integers of the output (default: a quantised network's, else DTYPE)
##   model        MODEL=          network to count: names of known ones with commas between, `paper` for every row
##                                of the paper's tables, an .onnx file, or a .json file of your own
##
## Variables of sensitivity, besides MODEL, INPUT_SHAPE, CHECK_BLOCKS, LIMIT, MEAN, STD, BGR, CALIBRATE_BY, OUT
##
##   hardware     WEIGHT_BITS=    bits of a weight (default: a quantised network's, else 8)
##   data         DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised
##                                network's, else int8)
##   model        CALIBRATION=    folder with images (.png, .jpg, .bmp) or with arrays (.npy, .npz) that are inputs
##                                of the network as it is, (C, H, W) or (N, C, H, W)
##                KS=1,3,5,7,9    rows of a tile to look at, each with its own list of blocks to leave
##
## Variables of plan, besides MACS, SRAM_OVERHEAD, SLACK, OPERAND_BITS, ERROR, MODEL, INPUT_SHAPE, CHECK_BLOCKS,
## LIMIT, MEAN, STD, BGR, SKIP, CALIBRATE_BY, OUT
##
##   hardware     LANES=          the most channels that a beat may carry; each block has the largest divisor of
##                                its own channels (default: 8)
##                LOADABLE=       1: parameters come through w_axis; 0: they are baked in (default: 0)
##                WEIGHT_BITS=    bits of a weight (default: a quantised network's, else 8)
##   data         DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised
##                                network's, else int8)
##                Y_DTYPES=       integers of the output to choose from; input: the input's, with its scale and no
##                                other (default: a quantised network's, else DTYPE)
##   model        CALIBRATION=    folder with images (.png, .jpg, .bmp) or with arrays (.npy, .npz) that are inputs
##                                of the network as it is, (C, H, W) or (N, C, H, W)
##                BUDGET=         most memory of all blocks without weights: a size like 64KiB, 1.5MiB or
##                                500000bits, or a fraction like 0.1 of what the untiled blocks buffer
##                KS=1,3,5,7,9    rows of a tile to choose from, beside those of the whole map
##
## Variables of evaluate, besides CONTEXT, TILE_W, MAX_ROWS, WINDOW, ORDER, PLAN, OPERAND_BITS, ERROR, MODEL,
## INPUT_SHAPE, CHECK_BLOCKS, MEAN, STD, BGR, SKIP, CALIBRATE_BY, OUT
##
##   shape        K=7             rows of a tile; strips of K >= H rows are the original squeeze-and-excite;
##                                NAME=ROWS for single blocks, by the names that `inspect` prints; or a .json file
##                                as PLAN
##                PRIOR=          imaginary rows, equal to the prior, in the means of cumulative and causal; at
##                                least 1 for causal (default: 1)
##   hardware     LOADABLE=       1: parameters come through w_axis; 0: they are baked in (default: 0)
##                WEIGHT_BITS=    bits of a weight (default: a quantised network's, else 8)
##   data         DTYPE=          integers of the input: int2 to int16 or uint2 to uint16 (default: a quantised
##                                network's, else int8)
##                Y_DTYPE=        integers of the output (default: a quantised network's, else DTYPE)
##                Y_SCALE=        real value of an output's step; auto: by CALIBRATE_BY (default: a quantised
##                                network's, else with Y_DTYPE auto, else the input's, twice that for a residual)
##                Y_ZERO_POINT=   integer of the output that stands for 0.0 (default: a quantised network's, else
##                                what fits with Y_SCALE=auto or Y_DTYPE, else the input's)
##                SEED=1          of the resamples of a metric of your own
##   model        CALIBRATION=    folder with images or arrays that the data formats and priors are taken from
##                                (default: LIMIT images of DATA, which are not scored if IMAGES leaves as many)
##                LIMIT=16        images for calibration, spread over their folder
##                DATA=           images or arrays to evaluate on, in a folder for each class, or in one with
##                                LABELS
##                LABELS=         text or CSV file with a line NAME,LABEL for each image of DATA (default: the
##                                names of the folders)
##                CLASSES=        text file with the name of a class in each line, in the order of the network's
##                                outputs (default: labels are numbers from 0, or all folders in the order of their
##                                names)
##                METRIC=top1     top1, top5, or a .py file of your own with a function metric(outputs, name,
##                                label), which is executed
##                EACH=0          1: also with one block at a time in tiles and in integers
##                IMAGES=         images to evaluate on, spread over DATA (default: all)
##
## Variables of demo, besides K, OUT
##
##   data         SEED=1          of the pages
##                SEEDS=          of pages that are scored together; each seed is run by itself, and its results
##                                are kept (default: SEED alone)
##   model        PAGES=42        pages of text to render for each seed
##   bench        DOCS=           folder whose demo.md takes the results in (default: none)
##
## Variables of study, besides OUT
##
##   model        DATA=           images to train and test with: the four files of MNIST, or a folder for each
##                                class, which may be in train/ and test/ (default:
##                                /usr/share/datasets/fashion-mnist, as Debian's package dataset-fashion-mnist has
##                                it)
##                QUICK=0         1: fewer images, epochs and networks, to see that it works; the figures mean
##                                nothing
##                EXAMPLE=        folder in which a trained network with blocks in integers is written, and some
##                                test images (default: none)
##   bench        DOCS=           folder in which study.md and its plots are written (default: none)
##   batch        JOBS=           networks at a time (default: one for each core; one on a GPU, which is used if
##                                torch sees it)
##
## Variables of prove, besides JOBS, OUT
##
##   verification ONLY=           proofs to do (default: all)
##
## Variables of mutate, besides JOBS, OUT
##
##   data         SEED=1          of which mutants are drawn
##   verification N=1000          mutants to draw, over all blocks
##
## Variables of crosscheck, besides JOBS, OUT
##
##   verification ONLY=           configurations to compare, by words that their names have (default: all)
##
## Variables of soak, besides JOBS, OUT
##
##   data         SEED=1          of configurations, frames and pauses
##   verification ONLY=           numbers of the configurations to run (default: all)
##                BEATS=10000000  to stream in all
##                BUILDS=200      random configurations to build
##
## Variables of verify, besides JOBS, OUT
##
##   verification ONLY=           commands to run: prove, mutate, crosscheck, soak (default: all)
##                DOCS=docs       folder whose verification.md takes the figures
##

COMMANDS := sim verilog synth bench simspeed sweep inspect swap build report sensitivity plan evaluate demo \
  study prove mutate crosscheck soak verify

# Make's variable and the option of tiled-se that it stands for.
OPTIONS := K:k W:width C:channels H:height CR:squeeze CONTEXT:context TILE_W:tile-width PRIOR:prior-rows \
  MAX_ROWS:max-rows WINDOW:window ORDER:order RAM_STYLE:ram-style DSP_STYLE:dsp-style LANES:lanes MACS:macs \
  SRAM_OVERHEAD:sram-overhead SLACK:slack LOADABLE:loadable WEIGHT_BITS:weight-bits OPERAND_BITS:operand-bits \
  ERROR:error HARDWARE:hardware REGISTERS:registers MID:mid GATE:gate RESIDUAL:residual WEIGHTS:weights \
  INPUT:input DTYPE:dtype ZERO_POINT:zero-point Y_DTYPE:y-dtype Y_SCALE:y-scale Y_ZERO_POINT:y-zero-point \
  FRAMES:frames SEED:seed STALL:stall SIM:sim WAVES:waves TARGET:target SEEDS:seeds OUT:out NAME:name \
  NETWORK:network BLOCKS:blocks DOCS:docs JOBS:jobs REPEATS:repeats SECONDS:seconds CONFIGS:configs \
  SCHEDULER:scheduler MODEL:model INPUT_SHAPE:input-shape CHECK_BLOCKS:check-blocks JSON:json PLAN:plan \
  CALIBRATION:calibration LIMIT:limit MEAN:mean STD:std BGR:bgr SKIP:skip KEEP_QUANTISED:keep-quantised \
  CALIBRATE_BY:calibrate-by KS:ks Y_DTYPES:y-dtypes BUDGET:budget DATA:data LABELS:labels CLASSES:classes \
  METRIC:metric EACH:each IMAGES:images PAGES:pages QUICK:quick EXAMPLE:example ONLY:only N:mutants BEATS:beats \
  BUILDS:builds

NEED_TOOLS := sim bench simspeed sweep build report sensitivity demo prove mutate crosscheck soak verify

# A command and the extra that it needs; commands run without those that are optional.
EXTRAS := synth:synth bench:bench simspeed:simspeed sweep:sweep plan:bench demo:demo prove:verify mutate:verify \
  crosscheck:verify soak:verify verify:verify

OPTIONAL := simspeed

# A variable and the extra that it needs where it is given.
OPTION_EXTRAS := REGISTERS:registers
