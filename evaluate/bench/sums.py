# SPDX-License-Identifier: Apache-2.0
"""Sums over the results of a plan: the memory of whole networks, and the results that break a claim."""

import dataclasses
import itertools

from ..tasks import FORMS

__all__ = ["Findings", "NetworkMemory", "network_memory"]

RESOURCES = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSPs", "block_rams": "block RAMs"}


@dataclasses.dataclass(frozen=True)
class NetworkMemory:
    """Memory ``bits`` without weights of all blocks of a network, for each of FORMS and a limit on the lanes.

    ``maps`` are the feature maps' own bits, which the original form can't do without.
    """

    bits: dict
    maps: int

    def reduction(self, form):
        """How much less than the original `form` takes, as a fraction."""
        return 1 - self.bits[form] / self.bits["se"]


def network_memory(network, most, plan, results):
    """The :class:`NetworkMemory` of `network` with `most` lanes; None where a block's result is missing."""
    tasks = {block: plan.memory[block, most] for block in network.blocks}
    if any(task not in results for forms in tasks.values() for task in forms.values()):
        return None
    bits = {form: sum(block.count * results[tasks[block][form]]["sram"]["total_without_weights_bits"]
                      for block in network.blocks) for form in FORMS}
    return NetworkMemory(bits, sum(block.count * 8 * block.height * block.width * block.channels
                                   for block in network.blocks))


class Findings:
    """The results that break or limit a claim of the page, as lists of tasks.

    ``inexact``: analytic and simulated figures differ. ``slow``: less than one beat a cycle. ``broken``: slow, although
    every tile has as many beats as excite takes cycles. The slow ones in contexts and in formats are all broken.
    ``larger``: for syntheses of formats that take more of a resource than the next wider one, these resources.
    """

    def __init__(self, plan, results):
        simulations = [task for task in dict.fromkeys([*plan.cycles.values(), *plan.latency.values(), *plan.variants,
                                                       *plan.contexts, *plan.formats])
                       if task in results and "simulated" in results[task]]
        self.simulated = len(simulations)
        self.inexact = [task for task in simulations
                        if any(results[task]["analytic"][name] != results[task]["simulated"][name]
                               for name in ("total_cycles", "first_output_latency"))]
        rows = [task for task in plan.cycles.values() if task in results]
        self.slow = [task for task in rows if results[task]["simulated"]["steady_throughput"] < 1]
        self.broken = [task for task in self.slow
                       if results[task]["shortest_tile_beats"] >= results[task]["excite_cycles"]]
        self.broken += [task for task in (*plan.contexts, *plan.formats)
                        if task in results and results[task]["simulated"]["steady_throughput"] < 1]
        larger = {narrow: [title for name, title in RESOURCES.items()
                           if results[narrow]["synth"][name] > results[wide]["synth"][name]]
                  for narrow, wide in itertools.pairwise(plan.formats.values())
                  if narrow in results and wide in results}
        self.larger = {task: titles for task, titles in larger.items() if titles}

    @property
    def problems(self):
        """For each task with a wrong result, the reason, for the list of failures."""
        found = {task: "less than a beat a cycle, though no tile is shorter than excite takes" for task in self.broken}
        found |= {task: f"more {' and '.join(titles)} than in the next wider format"
                  for task, titles in self.larger.items()}
        return found | {task: "analytic and simulated cycles differ" for task in self.inexact}
