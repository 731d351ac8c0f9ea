# SPDX-License-Identifier: Apache-2.0
"""`tiled-se study`: train what is missing, then what begins with trained networks, compare, and write the results."""

import dataclasses
import functools
import os
import sys

from ...batch import Campaign, Local
from ...gen.files import check_folder, json_bytes, output_folder, write_all
from ..options import StudyOptions

__all__ = ["study"]

RESULT = "study.json"
# Folders of what is kept.
RESULTS, NETWORKS = "results", "networks"


def study(options: StudyOptions) -> bool:
    """Train, test and compare the networks of the study, keep them in the folder of `options`, write study.json.

    With ``options.docs`` also study.md and its plots. Returns whether every task gave a result, and every network that
    was trained from new weights has learnt something; if not, nothing is written. Raises ConfigError for a wrong
    option, file or folder before anything is trained.
    """
    folder = output_folder(options, [RESULT])
    for option in ("docs", "example"):
        if getattr(options, option) is not None:
            check_folder(getattr(options, option), option)
    # These load torch.
    from .data import read_dataset
    from .plan import make_plan
    from .training import platform

    plan = make_plan(options.quick)
    dataset = read_dataset(options.data, plan.setup.train, plan.setup.test)
    engine = Local(options.jobs or (1 if platform().device != "cpu" else None))
    tasks = _Tasks(plan, dataset, options.data, folder)
    results = {}
    for campaign, judge in ((tasks.first, tasks.nothing_learnt), (tasks.later, lambda task, result: None)):
        made = campaign(results)
        made.run(functools.partial(tasks.call, results=results), engine, judge=judge, shown=folder,
                 outputs=[os.path.join(folder, RESULT)])
        if made.failures:
            task, reason = next(iter(made.failures.items()))
            others = f" (and {len(made.failures) - 1} more)" if len(made.failures) > 1 else ""
            print(f"tiled-se: failed: {task}: {reason}{others}", file=sys.stderr)
            return False
        results |= {task: made.results[task] for task in made.tasks}
    _write(_contents(plan, dataset, results), options, folder)
    if options.example is not None:
        _write_example(plan, dataset, options, folder)
    return True


class _Tasks:
    """What is to be done of a plan, as campaigns; `results` are those of the tasks before, by task."""

    def __init__(self, plan, dataset, data, folder):
        from .training import platform

        self.plan, self.dataset, self.data = plan, dataset, data
        self.kept, self.networks = os.path.join(folder, RESULTS), os.path.join(folder, NETWORKS)
        self.common = {"setup": dataclasses.asdict(plan.setup), "images": dataset.digest,
                       "platform": dataclasses.asdict(platform())}

    def first(self, results):
        """Networks that are trained from new weights."""
        from .worker import identity

        return self._with_files(Campaign(self.plan.runs, "networks", self.kept,
                                         lambda run: self.common | run.settings, identity))

    def later(self, results):
        """What begins with these."""
        from .quantising import identity

        return self._with_files(Campaign(self.plan.later, "fine-tuned and quantised networks", self.kept, lambda task: (
            self.common | task.settings | {"weights": results[task.start]["weights"]}), identity))

    def _with_files(self, campaign):
        """Without the results of tasks whose networks have gone: these are trained again."""
        from .worker import is_kept

        for task, result in list(campaign.results.items()):
            if "weights" in result and not is_kept(task, self.plan.setup, self.networks, result["weights"]):
                del campaign.results[task]
        return campaign

    def call(self, task, results):
        """What a worker process runs."""
        from .plan import Run, Tuning
        from .quantising import quantise
        from .tuning import tune
        from .worker import train_run

        common = task, self.plan.setup, self.data, self.dataset.digest, self.networks
        if isinstance(task, Run):
            return functools.partial(train_run, *common)
        call = tune if isinstance(task, Tuning) else quantise
        return functools.partial(call, *common, results[task.start]["weights"])

    def nothing_learnt(self, run, result):
        """Why the network of `run` is of no use, or None."""
        from .chance import nothing_learnt
        from .worker import correct_of

        return nothing_learnt(correct_of(result["rows"][0], len(self.dataset.test)), self.dataset.largest)


def _contents(plan, dataset, results):
    """study.json, which is the same however many processes there were."""
    import torch

    from .attention import SE
    from .conditions import CONDITIONS
    from .statistics import comparisons
    from .training import platform
    from .worker import correct_of

    rows = [row for result in results.values() for row in result["rows"]]
    parameters = {run.network: results[run]["parameters"] for run in plan.runs if run.attention == SE}
    epochs = {name: getattr(plan.setup, schedule).epochs(len(dataset.train))
              for name, schedule in (("epochs", "training"), ("tuning_epochs", "tuning"))}
    setup = {"quick": plan.setup.name == "quick", **epochs, "parameters": parameters, "torch": torch.__version__,
             "frames": {name: CONDITIONS[name].size(*dataset.shape[1:])
                        for name in dict.fromkeys(run.condition for run in plan.runs)},
             **dataclasses.asdict(platform()), "tests": "float32",
             "seconds": round(sum(result["seconds"] for result in results.values()))}
    compared = comparisons([row | {"correct": correct_of(row, len(dataset.test))} for row in rows])
    runs = [{name: value for name, value in row.items() if name != "correct"} for row in rows]
    return {"dataset": dataset.description, "setup": setup, "runs": runs, "comparisons": compared}


def _write(contents, options, folder):
    from .page import page, summary_text
    from .plots import plots

    write_all(folder, {RESULT: json_bytes(contents)})
    written = [os.path.join(folder, RESULT)]
    if options.docs is not None:
        files = plots(contents) | {"study.md": page(contents).encode()}
        write_all(options.docs, files, "docs")
        written += [os.path.join(options.docs, name) for name in files]
    print(summary_text(contents))
    print(f"wrote       {', '.join(written)}")


def _write_example(plan, dataset, options, folder):
    from .example import example_files
    from .worker import file_of

    task = plan.example
    files = example_files(os.path.join(folder, NETWORKS), file_of(task, plan.setup), task.start.condition, dataset)
    for own, contents in files.items():
        write_all(os.path.join(options.example, own), contents, "example")
    print(f"wrote       {options.example}: a network with blocks in integers, and images")
