# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: plan, simulate what is missing, write the results."""

import functools
import importlib.util
import os
import sys

from ...batch import Campaign, Local, TaskFailed
from ...batch.cluster import Cluster
from ...gen.fields import UsageError, text_of
from ...gen.files import output_folder, write_all
from ...gen.options import describe
from ...gen.text_table import warn
from ...hdl.config import ConfigError
from ..options import SweepOptions
from .files import Files
from .plan import VARIABLES, load_plan
from .tables import FILES, documents, summarise, summary_text
from .worker import FAILED, OK, identity, simulate_configuration

__all__ = ["sweep"]

REPORTS = "reports"
# Lines that are printed.
MOST_WARNINGS = 10


def sweep(options: SweepOptions) -> bool:
    """Simulate every configuration of `options.configs`, keep the reports in its folder, write tables of the results.

    Returns whether all of them are bit-exact and within their error bounds. Before anything is simulated, raises
    ConfigError for a wrong option or file or a scheduler that doesn't answer, and UsageError for missing packages.
    Raises EngineLost where the scheduler has gone; a further run continues.
    """
    folder = output_folder(options, FILES)
    _check_packages(options)
    configurations = load_plan(options.configs)
    files = Files(os.path.dirname(options.configs or ""))
    campaign = Campaign(configurations, "configurations", os.path.join(folder, REPORTS),
                        lambda configuration: _settings(configuration.options, files), identity)
    engine = Cluster(options.scheduler, options.jobs) if options.scheduler else Local(options.jobs)
    campaign.run(lambda configuration: _call(configuration.options, files), engine, shown=folder,
                 judge=lambda _, result: result["reason"], outputs=[os.path.join(folder, name) for name in FILES])
    results = {configuration: {"status": FAILED, "reason": reason}
               for configuration, reason in campaign.failures.items()} | campaign.results
    contents = documents(configurations, results)
    write_all(folder, contents)
    doubtful = [f"configuration {configuration}: {text}" for configuration, result in results.items()
                for text in (result.get("report") or {}).get("warnings", ())]
    warn(doubtful[:MOST_WARNINGS])
    if len(doubtful) > MOST_WARNINGS:
        warn([f"{len(doubtful) - MOST_WARNINGS} more, in {os.path.join(folder, REPORTS)}"])
    print(summary_text(summarise(configurations, results)))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in contents)}")
    return all(result["status"] == OK for result in results.values())


def _settings(options, files):
    """All that decides a configuration's result; None where one of its files can't be read."""
    try:
        return {name: text_of(getattr(options, name)) for name in VARIABLES.values()} | {"files": files.hashes(options)}
    except ConfigError:
        return None


def _call(options, files):
    try:
        return functools.partial(simulate_configuration, options, files.of(options))
    except ConfigError as error:
        return functools.partial(_refuse, describe(error))


def _refuse(reason):
    raise TaskFailed(reason)


def _check_packages(options):
    # Python 3.10 has no tomllib; the package is imported under that name.
    reader = ("tomli",) if sys.version_info < (3, 11) else ()
    needed = (*reader, *(("distributed",) if options.scheduler else ()))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"sweep needs {' and '.join(missing)}: pip install 'tiled-se[sweep]'")
