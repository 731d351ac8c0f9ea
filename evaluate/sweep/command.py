# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: plan, simulate what is missing, write the results."""

import contextlib
import functools
import importlib.util
import os
import sys

from ...batch.local import Local, cores
from ...batch.pool import run_all
from ...batch.progress import Progress
from ...batch.store import Store, digest
from ...gen.errors import UsageError
from ...gen.fields import text_of
from ...gen.files import output_folder, write_all
from ...gen.options import describe
from ...hdl.config import ConfigError
from ..options import SweepOptions
from .files import Files
from .plan import VARIABLES, load_plan
from .tables import FILES, documents, summarise, summary_text
from .work import FAILED, OK, difference, identity, work

__all__ = ["sweep"]

REPORTS = "reports"


def sweep(options: SweepOptions) -> bool:
    """Simulate every configuration of `options.configs`, keep the reports in its folder, write what came of them.

    Returns
    -------
    bool
        Whether all of them are bit-exact.

    Raises
    ------
    ConfigError, UsageError
        Before anything is simulated: a wrong option or file, a scheduler that doesn't answer, packages that are
        missing.
    EngineLost
        Where the scheduler has gone; a further run continues.
    """
    folder = output_folder(options)
    _check_packages(options)
    configurations = load_plan(options.configs)
    run = _Run(configurations, Files(os.path.dirname(options.configs or "")), folder)
    try:
        run.simulate(_engine(options))
    except BaseException:
        if run.simulating:
            print(f"{run.finished} of {len(configurations)} configurations are finished; the same command continues",
                  flush=True)
        raise
    files = documents(configurations, run.results)
    write_all(folder, files)
    print(summary_text(summarise(configurations, run.results)))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    return all(result["status"] == OK for result in run.results.values())


def _remove_old(folder):
    """What an earlier sweep has written there: beside one that was interrupted it would pass for its results."""
    for name in FILES:
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, name))


def _check_packages(options):
    # The one for Python 3.10 is imported below another name.
    reader = ("tomli",) if sys.version_info < (3, 11) else ()
    needed = ("tqdm", *reader, *(("distributed",) if options.scheduler else ()))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"sweep needs {' and '.join(missing)}: pip install 'tiled-se[sweep]'")


def _engine(options):
    if options.scheduler is None:
        return Local(options.jobs or cores())
    from ...batch.cluster import Cluster

    return Cluster(options.scheduler, options.jobs)


class _Run:
    """Configurations and their results, from earlier runs and from this one."""

    def __init__(self, configurations, files, folder):
        self.configurations, self.files, self.folder = configurations, files, folder
        self.store = Store(os.path.join(folder, REPORTS))
        self.keys, self.results, self.simulating = {}, {}, False

    @property
    def finished(self):
        """How many have a result that is kept."""
        return sum(result["status"] != FAILED for result in self.results.values())

    def simulate(self, engine):
        """Have `engine` simulate what the store hasn't, and keep it there."""
        for configuration in self.configurations:
            self._look_up(configuration)
        missing = [c for c in self.configurations if c not in self.results]
        print(f"{len(self.configurations)} configurations, {self.finished} of them finished before; {engine}; "
              f"results in {self.folder}", flush=True)
        with Progress(len(self.configurations), len(self.results)) as progress:
            failures = run_all(missing, self._job, engine, progress, self._finish)
        self.simulating = False
        for configuration, reason in failures.items():
            self.results.setdefault(configuration, {"status": FAILED, "reason": reason})

    def _look_up(self, configuration):
        try:
            contents = self.files.hashes(configuration.options)
        except ConfigError as error:
            self.results[configuration] = {"status": FAILED, "reason": describe(error)}
            return
        said = {name: text_of(getattr(configuration.options, name)) for name in VARIABLES.values()}
        self.keys[configuration] = digest(said, contents, identity())
        if (found := self.store.load(self.keys[configuration])) is not None:
            self.results[configuration] = found

    def _job(self, configuration):
        if not self.simulating:
            self.simulating = True
            _remove_old(self.folder)
        return functools.partial(work, {"texts": configuration.texts, "identity": identity(),
                                        "files": self.files.of(configuration.options)})

    def _finish(self, configuration, result):
        """Keep what a worker has found, unless it failed: that is tried again by the next run."""
        if reason := difference(result["identity"]):
            return reason
        if result["status"] != FAILED:
            self.store.save(self.keys[configuration], result)
        self.results[configuration] = result
        return None if result["status"] == OK else result["reason"]
