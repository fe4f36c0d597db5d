"""Are the derivatives of the user's own networks right? Differences along random directions, on what they were fed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ...backend import default_generator
from ...testing.directional import wrong_derivative
from ...testing.subject import problem, subject
from .finding import Finding
from .trace import Call, Inner, Trace

SAMPLES, LARGEST = 5, 300_000
"""Samples of a batch, and the most weights of a network, that are looked at."""


def derivatives(trace: Trace) -> Iterator[Finding]:
    """Networks with layers or ops of the user's own whose derivative, or second derivative, is wrong."""
    penalised = {i.network for i in trace.of(Inner) if i.create_graph}
    for name, network in trace.networks.items():
        calls = [c for c in trace.of(Call) if c.network == name and not c.part and c.inputs]
        weights = sum(p.numel() for p in network.module.parameters())
        if not network.own_code or not calls or weights > LARGEST or not trace.roles.get(name):
            continue
        state = default_generator.state_dict()
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                case = problem(subject(network.module), [a[:SAMPLES].astype(float) for a in calls[-1].inputs])
                for order in (1, 2) if name in penalised else (1,):
                    wrong = wrong_derivative(case, order)[1]
                    if wrong:
                        yield Finding("wrong-derivative", f"of {name}: {wrong}", calls[-1].place)
                        break
        except Exception:  # it takes other inputs than these; gradcheck says more
            continue
        finally:
            default_generator.load_state_dict(state)
