# SPDX-License-Identifier: Apache-2.0
"""Verification of the generator itself: the regression, proofs, mutation, other simulators, random streams.

The commands take their options (:mod:`.options`) and return whether everything held. ``soak`` is in :mod:`.soak`.
"""

from ..hdl.lazy import lazy

__all__, __getattr__ = lazy(__name__, {
    "command": "verify",
    "configurations": "CONFIGS HEADLINE NAMED NamedBlock quantised",
    "formal": "prove",
    "mutation": "mutate",
    "options": "CrosscheckOptions MutateOptions ProveOptions SoakOptions VerifyOptions",
    "regression": "MISUSED STALLS Scenario suite",
    "simulators": "crosscheck",
})
