# SPDX-License-Identifier: Apache-2.0
"""A GTKWave save file for a recorded VCD file, with the block's ports and the stage taps."""

from .ports import INSTANCE

__all__ = ["write_save_file"]


def _signals(vcd):
    """Names in a VCD file's header, as GTKWave writes them: scopes and name with dots, then the range."""
    scopes = []
    with open(vcd, errors="replace") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["$scope"]:
                scopes.append(words[2])
            elif words[:1] == ["$upscope"]:
                scopes.pop()
            elif words[:1] == ["$var"]:
                # $var wire 8 ! name [7:0] $end; the range is a separate word, or missing.
                yield ".".join([*scopes, "".join(words[4:-1])])
            elif words[:1] == ["$enddefinitions"]:
                return


def write_save_file(vcd, build):
    """Write the save file of ``vcd``, from a run of ``build``, beside it as .gtkw; returns its path."""
    top, taps = build.top, build.taps
    groups = {"ports": [], **{tap["stage"]: [] for tap in taps}}
    stages = {(tap["module_path"], tap[role]): tap["stage"] for tap in taps for role in ("valid", "index", "data")}
    for signal in _signals(vcd):
        path, name = signal.split("[")[0].rsplit(".", 1)
        # Verilator may add a scope around the top module, and the block may be inside the test bench.
        path = path.removeprefix("TOP.")
        block = f"{build.bench_top}.{INSTANCE}"
        if f"{path}.".startswith(f"{block}."):
            path = top + path.removeprefix(block)
        if path == top and (name in ("clk", "rst") or name.startswith(("s_axis_", "m_axis_", "w_axis_", "status_"))):
            groups["ports"].append(signal)
        if (path, name) in stages:
            groups[stages[path, name]].append(signal)
    lines = [f'[dumpfile] "{vcd}"', "[timestart] 0"]
    for title, signals in groups.items():
        # @200 begins a comment line, @22 shows numbers in hexadecimal, @28 single bits in binary.
        lines += ["@200", f"-{title}"]
        for signal in signals:
            lines += ["@22" if "[" in signal else "@28", signal]
    path = vcd.with_suffix(".gtkw")
    path.write_text("\n".join(lines) + "\n")
    return path
