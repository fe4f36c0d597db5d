"""The state of a training: what a checkpoint saves, a resumed run restores, and a failed half-step rolls back.

Arrays and small integers, nothing else: every random number is a function of (seed, stream, draw number), so a run that
was stopped and resumed equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..autograd import Tensor
from ..backend import Generator, host
from ..data import Loader
from ..nn import Module
from ..optim import Optimizer, WeightAverage


@dataclass(frozen=True)
class Mark:
    """Where a training stood. counters: of the random streams and the data; memory: copies; weights and moments: copies
    of all networks' arrays and the optimisers' own marks, None where they were not asked for."""

    counters: dict
    memory: dict[str, np.ndarray]
    weights: list | None
    moments: list | None


@dataclass(frozen=True)
class TrainingState:
    """networks and optimisers by the names they are saved under, the players' own networks without the average;
    average: of the generator's weights. random: the streams by name. memory: tensors that a system keeps between steps.
    loader: of the batches, or None for a trainer without data."""

    networks: Mapping[str, Module]
    optimisers: Mapping[str, Optimizer]
    average: WeightAverage
    random: Mapping[str, Generator]
    memory: Mapping[str, Tensor]
    loader: Loader | None

    def save(self) -> tuple[dict[str, np.ndarray], dict]:
        """(arrays by name, the rest ready for JSON): everything that `restore` needs."""
        arrays, counts = {}, {}
        for name, module in self._modules().items():
            arrays |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        arrays |= {f"memory.{name}": host(t.data) for name, t in self.memory.items()}
        for name, optimiser in self.optimisers.items():
            entries = optimiser.state_dict()["state"]
            for i, entry in entries.items():
                arrays |= {f"{name}.{i}.{k}": host(v) for k, v in entry.items() if not isinstance(v, int)}
            counts[name] = {str(i): {k: v for k, v in e.items() if isinstance(v, int)} for i, e in entries.items()}
        return arrays, {
            "counters": self.counters(),
            "optimisers": counts,
            "average_updates": self.average.updates,
        }

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping) -> None:
        """Continue where `save` was called. Raises an ordinary exception, ValueError or KeyError most often, if that
        belongs to other networks, or is nothing that `save` gives."""
        for name, module in self._modules().items():
            module.load_state_dict(_under(arrays, name))
        for name, t in self.memory.items():
            t.assign(arrays[f"memory.{name}"])
        for name, optimiser in self.optimisers.items():
            entries = {int(i): dict(counts) for i, counts in rest["optimisers"][name].items()}
            for key, array in _under(arrays, name).items():
                i, _, k = key.partition(".")
                entries.setdefault(int(i), {})[k] = array
            _check_entries(name, optimiser, entries)
            optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})
        self.average.updates = count_of(rest, "average_updates")
        for name, stream in self.random.items():
            saved, own = rest["counters"][name], stream.state_dict()
            if (saved["seed"], saved["stream"]) != (own["seed"], own["stream"]):
                raise ValueError(f"its random numbers {name!r} are of {saved}, not of {own}")
            count_of(saved, "step")
        if self.loader is not None:
            _check_counts(rest["counters"]["loader"])
        self.set_counters(rest["counters"])
        self._compare(arrays, rest)

    def _compare(self, arrays: Mapping[str, np.ndarray], rest: Mapping) -> None:
        """Raises ValueError unless `save` gives back what was restored: whatever a conversion changed is found."""
        own_arrays, own_rest = self.save()
        changed = [k for k, a in own_arrays.items() if a.dtype != arrays[k].dtype or a.tobytes() != arrays[k].tobytes()]
        for key, value in own_rest.items():
            saved = {name: rest[key][name] for name in value} if key == "counters" else rest[key]
            if json.dumps(saved, sort_keys=True) != json.dumps(value, sort_keys=True):
                changed.append(key)
        if changed:
            raise ValueError(f"{', '.join(changed)}: of other types or values than a run saves")

    def mark(self, weights: bool = False) -> Mark:
        """Where the training stands, for `roll_back`; with copies of all weights and moments if `weights`."""
        memory = {name: t.data.copy() for name, t in self.memory.items()}
        if not weights:
            return Mark(self.counters(), memory, None, None)
        arrays = [t.data.copy() for t in self._tensors()]
        return Mark(self.counters(), memory, arrays, [o.remember() for o in self.optimisers.values()])

    def roll_back(self, mark: Mark) -> None:
        """Go back to where `mark` was made."""
        if mark.weights is not None:
            for t, array in zip(self._tensors(), mark.weights, strict=True):
                t.assign(Tensor(array))
            for optimiser, moments in zip(self.optimisers.values(), mark.moments, strict=True):
                optimiser.go_back(moments)
        self.set_counters(mark.counters)
        for name, array in mark.memory.items():
            self.memory[name].assign(Tensor(array))

    def _modules(self) -> dict[str, Module]:
        return {**self.networks, "average": self.average.module}

    def _tensors(self) -> list[Tensor]:
        return [t for module in self.networks.values() for t in (*module.parameters(), *module.buffers())]

    def counters(self) -> dict:
        """Where the random streams and the data stand."""
        streams = {name: stream.state_dict() for name, stream in self.random.items()}
        return streams if self.loader is None else {"loader": self.loader.state_dict(), **streams}

    def set_counters(self, counters: Mapping) -> None:
        """Put the random streams and the data where `counters` says."""
        if self.loader is not None:
            self.loader.load_state_dict(counters["loader"])
        for name, stream in self.random.items():
            stream.load_state_dict(counters[name])


def count_of(record: Mapping, name: str) -> int:
    """The count of that name. Raises ValueError for what is no whole number from 0 on."""
    value = record[name]
    if type(value) is not int or not 0 <= value < 2**62:
        raise ValueError(f"its {name!r} is {str(value)[:60]!r}, no count")
    return value


def _check_counts(record: Mapping) -> None:
    """Raises ValueError unless each step in the record, and in those that it holds, is a count."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            _check_counts(value)
        elif name == "step":
            count_of(record, name)


def _check_entries(name: str, optimiser: Optimizer, entries: Mapping[int, Mapping]) -> None:
    """Raises ValueError unless each entry has the arrays and counts that the optimiser makes for that parameter."""
    params = [(p, group) for group in optimiser.param_groups for p in group["params"]]
    for i, entry in entries.items():
        if not 0 <= i < len(params):
            raise ValueError(f"{name} has {len(params)} parameters and no number {i}")
        template: dict = {}
        optimiser.begin(params[i][0].data, template, params[i][1])
        if entry.keys() != template.keys():
            raise ValueError(f"{name} has {sorted(entry)} of parameter {i}, expected {sorted(template)}")
        for key, value in template.items():
            if isinstance(value, int):
                count_of(entry, key)
            elif (entry[key].shape, entry[key].dtype) != (value.shape, value.dtype):
                raise ValueError(f"{name} has {key} {entry[key].shape} of parameter {i}, expected {value.shape}")


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix + "."): v for k, v in arrays.items() if k.startswith(prefix + ".")}
