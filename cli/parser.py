# SPDX-License-Identifier: Apache-2.0
"""The argument parser of `tiled-se`: help for strangers, errors of one line."""

import argparse
import sys

from ..gen.errors import UsageError
from ..gen.options import flag, options_of

__all__ = ["parse"]

DESCRIPTION = "RTL generator for a streaming tiled squeeze-and-excite block, bit-exact to a PyTorch golden model."

# What a command is for: in a word, in full, and by example.
COMMANDS = {
    "sim": (
        "build the block, simulate it and compare every output with the golden model",
        """
Build the block's RTL, run frames through it in a simulator, compare every output with the golden model
and with float64. Writes OUT/report.json and OUT/output.npz.
Exit status: 0 bit-exact, 1 a mismatch, 2 bad input.
""", """
  tiled-se sim --k 7 --width 56 --channels 64
  tiled-se sim --k 7 --weights se.npz --input frames.npz --stall 0.3
  tiled-se sim --k 3 --width 8 --channels 16 --height 10 --mid silu --macs 4 --waves
"""),
    "verilog": (
        "write the block's Verilog and its manifest",
        """
Write OUT/NAME.v, and OUT/manifest.json with its ports, parameters, number formats, latency and memories.
With --weights the parameters are baked in. Without, the block is loaded through w_axis, and a parameter
stream is written, too: OUT/NAME.params.bin (32-bit words, little-endian) and OUT/NAME.params.hex (the
same for $readmemh). Options that only concern a simulation or a synthesis are taken and change nothing.
""", """
  tiled-se verilog --k 7 --width 56 --channels 64 --out build/rtl
  tiled-se verilog --k 7 --width 56 --weights se.npz --name se_block3
"""),
    "synth": (
        "synthesise the block for an FPGA: cells, block RAM, clock",
        """
Map the block to an FPGA's cells with yosys; for ecp5 and ice40, place and route it with nextpnr, once a
seed. Writes OUT/synth.json, OUT/NAME.v and the tools' logs. A block that fits none of the parts has its
cells, but no clock; xilinx has no nextpnr in pip, and thus never one.
Exit status: 0 done, 2 bad input, 3 a tool is missing or failed.
""", """
  tiled-se synth --k 7 --width 56 --channels 64
  tiled-se synth --target xilinx --k 7 --width 56 --channels 64 --lanes 1
  tiled-se synth --target ice40 --k 2 --width 8 --channels 16 --lanes 1 --macs 1 --seeds 1,2,3,4,5
"""),
    "bench": (
        "measure the blocks of known networks, and write tables and plots",
        """
Measure memory, cycles and synthesis of every squeeze-and-excite block of known networks, with the original
form beside the tiled one, and write DOCS/benchmarks.md with its plots. Each result is kept in OUT as soon as it
is there, so that what is finished is not measured again. Needs the packages of tiled-se[bench,synth].
Exit status: 0 all was measured and right, 1 something failed, 2 bad input.
""", """
  tiled-se bench
  tiled-se bench --network EfficientDet-D2
  tiled-se bench --blocks 56x56x64x16,7x7x1152x48 --jobs 4
"""),
    "simspeed": (
        "measure how fast the block simulates, by four benches",
        """
Run the same Verilog with the same frames under four benches in turn: this project's own, its drivers in
Python, cocotbext-axi's source and sink, and a plain C++ loop. Each compares every output with the golden
model. Writes cycles per CPU second and their ratios into OUT/simspeed.json, and into DOCS/benchmarks.md
if DOCS is given. Without width, channels, weights and input it takes 56 columns and 64 channels. Needs
the packages of tiled-se[simspeed]; without, cocotbext-axi is left out.
Exit status: 0 done, 1 a mismatch, 2 bad input, 3 a tool failed.
""", """
  tiled-se simspeed
  tiled-se simspeed --k 4 --width 20 --channels 16 --stall 0.3 --seconds 1
"""),
    "sweep": (
        "simulate a list of configurations, on all cores or on a cluster",
        """
Build, simulate and compare every configuration that a TOML file lists, each as `tiled-se sim` does. Each report is
kept in OUT/reports as soon as it is there, so that an interrupted sweep continues. A configuration that fails doesn't
stop the others. Writes OUT/results.csv, OUT/summary.json and OUT/timings.csv. Needs the packages of tiled-se[sweep].
Exit status: 0 all are bit-exact, 1 some are not or failed, 2 bad input, 3 the scheduler has gone.
""", """
  tiled-se sweep
  tiled-se sweep --configs mine.toml --jobs 4
  tiled-se sweep --configs mine.toml --scheduler tcp://node1:8786
"""),
    "inspect": (
        "list the squeeze-and-excite blocks of an ONNX network",
        """
Find the squeeze-and-excite blocks of an ONNX network, whatever nodes they are spelt with: size of the feature map,
channels, squeezed channels, functions, parameters, and elements that wait with and without tiles. The model is only
read: nothing in it is run, but where the sizes can't be inferred from --input.
Exit status: 0 done (also without a block), 2 bad input.
""", """
  tiled-se inspect model.onnx
  tiled-se inspect model.onnx --input 3x640x640 --json blocks.json
"""),
    "swap": (
        "tile the squeeze-and-excite blocks of an ONNX network, with the same weights",
        """
Write the network again with tiled squeeze-and-excite in place of the original, for any height, in operators that
every runtime has; all else stays as it is. Exit status: 0 done, 2 bad input.
""", """
  tiled-se swap model.onnx --k 7 -o tiled.onnx
  tiled-se swap model.onnx --k 7 --skip Mul.55,Mul.57
"""),
    "build": (
        "quantise, build and co-simulate every squeeze-and-excite block of an ONNX network",
        """
Run the network, tiled, on calibration images; quantise every block by the feature maps that reach it; generate its
RTL, simulate it on the feature maps of some of the images, and compare with the golden model. Writes a folder for
each block: NAME.v, manifest.json, report.json, output.npz, and weights.npz and input.npz to repeat the run by; and
OUT/report.json over all of them.
Exit status: 0 all are bit-exact, 1 some are not or failed, 2 bad input.
""", """
  tiled-se build model.onnx --calibration images/ --input 3x640x640 --k 7 -o rtl/
"""),
    "report": (
        "count what tiles save and cost in a network, block by block",
        """
For every squeeze-and-excite block of a network, and in sum, the original beside the tiled form: elements that wait,
bits of memory in the RTL and of its tile buffers alone, multiplications, cycles to the first output; for the networks
of the paper its printed figures beside ours. Writes OUT/report.json and OUT/report.svg. Measurements are kept in OUT.
Exit status: 0 done, 1 something failed, 2 bad input.
""", """
  tiled-se report EfficientDet-D2
  tiled-se report paper
  tiled-se report model.onnx --input 3x640x640
"""),
    "sensitivity": (
        "see how well the tiles of an ONNX network stand for its whole feature maps",
        """
For every squeeze-and-excite block and several heights of a tile: how well the tiles' means and gates agree with those
of the whole map, on images; and the quantised gates beside the float ones. Blocks that agree badly are better left as
they are: a line for each K names them. Correlations in the table are for the K nearest to 7. Writes
OUT/sensitivity.json and OUT/sensitivity.svg. Exit status: 0 done, 2 bad input.
""", """
  tiled-se sensitivity model.onnx images/ --input 3x640x640
"""),
    "demo": (
        "a trained text detector with tiled blocks, in float, in integers, and one block in RTL",
        """
Detect lines of text on rendered pages and on a scan with a trained network: as it is, tiled in float, and tiled with
every block computed by the integer golden model, one of them by the RTL. Writes OUT/demo.json and OUT/demo.png. Needs
the packages of tiled-se[demo]. Exit status: 0 done, 1 the RTL was wrong, a block's error over 1 LSB, or, on 40 pages or
more, the F-score of TSE more than 2 points under that of SE, or of integers more than 1 point from that of float; 2 bad
input.
""", """
  tiled-se demo
"""),
    "prove": (
        "prove that the block loses, repeats and mixes up nothing",
        """
Prove the properties of every component and of the block's control with a model checker, show that each proof's
assumptions allow what matters, and that each of its seeded faults makes it fail. Writes OUT/prove.json. Needs the
packages of tiled-se[verify]. Exit status: 0 all proved and every fault found, 1 not, 2 bad input, 3 a tool failed.
""", """
  tiled-se prove
  tiled-se prove --only queue,tile_buffer --jobs 2
"""),
    "mutate": (
        "measure how many faults in the netlist the regression notices",
        """
Put N small changes into the netlist of generated blocks, one at a time, and run the regression's vectors on each. What
survives is proved equivalent where it is. Writes OUT/mutate.json. Needs the packages of tiled-se[verify].
Exit status: 0 at least 99 % were killed or proved equivalent, 1 less, 2 bad input, 3 a tool failed.
""", """
  tiled-se mutate
  tiled-se mutate --mutants 200 --seed 5
"""),
    "crosscheck": (
        "compare simulators, and the synthesised netlist, on every named configuration",
        """
Run the same frames, pauses, resets and parameter streams through each simulator, and through the netlist as synthesised
for ECP5: outputs, status and cycles must be the same. Simulators that are not there are left out. Writes
OUT/crosscheck.json. Needs the packages of tiled-se[verify].
Exit status: 0 all agree, 1 not, 2 bad input, 3 a tool failed.
""", """
  tiled-se crosscheck
  tiled-se crosscheck --only headline
"""),
    "soak": (
        "stream millions of beats through random blocks, and feed the commands with rubbish",
        """
Build random configurations and stream frames through them with random pauses, resets, cut frames and broken parameter
streams, every beat compared with the golden model; then run random command lines and damaged files. Writes
OUT/soak.json. Needs the packages of tiled-se[verify]. Exit status: 0 nothing was lost or wrong, 1 something was, 2 bad
input, 3 a tool failed.
""", """
  tiled-se soak
  tiled-se soak --builds 20 --beats 1000000 --lines 500
"""),
}

# Before a field's name, of one that stands without its flag.
STANDING = "standing:"

GROUPS = {
    "shape": "shape of tiles and feature map",
    "hardware": "hardware",
    "network": "network",
    "data": "data",
    "run": "simulation run",
    "synthesis": "synthesis",
    "output": "output",
    "bench": "benchmarks",
    "sweep": "sweep",
    "batch": "many at a time",
    "model": "network and its data",
    "verification": "verification",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message} ({self.prog} --help tells)")


def _parser():
    parser = _Parser(prog="tiled-se", description=DESCRIPTION, allow_abbrev=False,
                     epilog="`tiled-se COMMAND --help` lists the options of a command.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (short, text, examples) in COMMANDS.items():
        command = commands.add_parser(
            name, help=short, description=text.strip(), usage=_usage(name), allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"examples:{examples}\nmake {name} takes every option as a variable, whose name is in brackets.")
        groups = {group: command.add_argument_group(title) for group, title in GROUPS.items()}
        for field, about in options_of(name).items():
            _add(command, groups[about.metadata["group"]], name, field, about.metadata)
    return parser


def _usage(name):
    fields = [field.metadata for field in options_of(name).values()]
    standing = [about["metavar"] for about in fields if name in about["positional"]]
    return " ".join([f"tiled-se {name}", *standing, "[OPTION ...]"])


def _add(command, group, name, field, about):
    # A bool may stand without a value: --waves is --waves 1.
    optional = {"nargs": "?", "const": "1"} if about["metavar"] == "0|1" else {}
    text = f"[{about['variable']}] {about['other'].get(name, about['help'])}".replace("%", "%%")
    flags = ("-o", flag(field)) if field == "out" else (flag(field),)
    group.add_argument(*flags, dest=field, metavar=about["metavar"], help=text, **optional)
    if name in about["positional"]:
        # Where it stands without its flag.
        command.add_argument(STANDING + field, nargs="?", metavar=about["metavar"], help=argparse.SUPPRESS)


def parse(arguments):
    """The command and the texts of its options, by field name; ("help", {}) where nothing was asked for.

    Raises
    ------
    UsageError
    SystemExit
        After --help.
    """
    parser = _parser()
    texts = vars(parser.parse_args(arguments))
    command, version = texts.pop("command"), texts.pop("version")
    for field in [name.removeprefix(STANDING) for name in texts if name.startswith(STANDING)]:
        text = texts.pop(STANDING + field)
        if text is not None and texts[field] is not None:
            raise UsageError(f"{flag(field)} is given twice: {texts[field]} and {text}")
        texts[field] = texts[field] if text is None else text
    if version:
        return "version", {}
    if command is None:
        parser.print_help(sys.stdout)
        return "help", {}
    return command, texts
