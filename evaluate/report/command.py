# SPDX-License-Identifier: Apache-2.0
"""`tiled-se report`: what tiled squeeze-and-excite saves and costs in a network, beside the paper's own figures."""

import os

from ...gen.files import discard, json_bytes, output_folder, write_all
from ...hdl.sizing import DEFAULT_LANES
from ..measure import measure
from ..networks import load_networks
from ..options import ReportOptions
from ..paper.hardware import Table
from ..paper.paper import STRIP, load_paper, model_rows, tile_rows
from ..tasks import forms, sizing_options
from .subject import resolve
from .summary import network_summary
from .texts import hardware_text, network_text, paper_text

__all__ = ["report"]

REPORT, PLOT, PAPER_PLOT = "report.json", "report.svg", "paper.svg"
RESULTS = (REPORT, PLOT, PAPER_PLOT)
# The table whose models are in the paper's Figure 2.
FIGURE_TABLE = 4


def report(options: ReportOptions) -> bool:
    """Count and measure what ``options.model`` names, print it as tables, write report.json and plots to their folder.

    Results of measurements are kept in that folder, so that an interrupted run continues, and a repeated one measures
    nothing. Returns whether everything was measured. Before anything is measured, raises ConfigError for a wrong option
    or file.
    """
    folder = output_folder(options, RESULTS)
    subject = resolve(options)
    # Matplotlib takes a second to load: a wrong option is refused before.
    from . import plots

    definitions, paper = {network.name: network for network in load_networks(staged=True)}, load_paper()
    tiles, models = (tuple(row for row in rows if subject.rows is None or row.network in subject.rows)
                     for rows in (tile_rows(definitions, paper), model_rows(definitions, paper)))
    table = None
    if subject.rows is None:
        table = Table(tiles, options.lanes or DEFAULT_LANES, **sizing_options(options))
    tasks = [task for network in subject.networks for block in network.blocks
             for task in forms(block, options).values()]
    results, failures = measure([*tasks, *(table.tasks if table else ())], "designs", folder, options.jobs,
                                [os.path.join(folder, name) for name in RESULTS])
    summaries = [network_summary(network, options, results) for network in subject.networks]
    hardware = table.rows(results) if table else []
    _print(summaries, tiles, models, hardware)
    files = {REPORT: json_bytes({
        "model": options.model, "k": None if options.differs else options.k, "networks": summaries,
        "paper": {"source": paper["source"], "tiles": [row.as_json() for row in tiles],
                  "models": [row.as_json() for row in models],
                  "hardware": [row.as_json() for row in hardware]},
        "failures": {str(task): reason for task, reason in failures.items()}})}
    files[PLOT] = plots.trade_off(summaries)
    if subject.rows is None:
        files[PAPER_PLOT] = plots.accuracies([row for row in models if row.table == FIGURE_TABLE])
    # A report of another model may have had a plot that this one doesn't have.
    discard(folder, RESULTS)
    write_all(folder, files)
    for note in subject.notes:
        print(note)
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    for task, reason in failures.items():
        print(f"failed      {task}: {reason}")
    return not failures


def _print(summaries, tiles, models, hardware):
    measured = {summary["name"]: summary["reduction"]["memory_bits"] for summary in summaries if summary["k"] == STRIP}
    for summary in summaries:
        print(f"\n{network_text(summary)}")
    if tiles or models:
        print(f"\n{paper_text(tiles, models, measured)}")
    if hardware:
        print(f"\n{hardware_text(hardware)}")
    print()
