"""Runs that are killed, signalled, or stopped at any step: what goes on is, bit for bit, what was never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from .. import checkpoint, data
from ..gan.run import Run
from ..gan.systems.table import SYSTEMS, options_for, trainer_for
from .lines import Case, Fault, line, require
from .world import WORDS, command, compare, ended, forked, go_on, kill, short_runs, tiny, traces

CALLS = ("fsync", "replace", "unlink")
"""Calls of the system that a save is made of."""


@contextmanager
def at_call(number: int, act: Callable[[], object]) -> Iterator[list[str]]:
    """Call `act` in place of the `number`-th of these calls. Yields the list of the calls so far."""
    calls: list[str] = []
    originals = {name: getattr(os, name) for name in CALLS}

    def watched(name):
        def call(*args, **kwargs):
            calls.append(name)
            return act() if len(calls) == number else originals[name](*args, **kwargs)

        return call

    with mock.patch.multiple(os, **{name: watched(name) for name in CALLS}):
        yield calls


def _whole(folder: Path) -> tuple[dict, float, int]:
    """(traces of a run without faults, its seconds, the calls within its saves)."""
    start = time.monotonic()
    with at_call(0, lambda: None) as calls:
        Run.create(tiny(), folder / "whole").train()
    return traces(folder / "whole"), time.monotonic() - start, len(calls)


@line(
    "kills",
    200,
    "a run that is killed, half of the time while it writes, goes on bit for bit and leaves no file behind",
)
def kills(folder: Path) -> Iterator[Case]:
    """By the clock, at any moment; or by the number of a system call within what is written."""
    with short_runs():
        expected, seconds, calls = _whole(folder)

        def train(run: Path) -> Callable[[], object]:
            return lambda: Run.create(tiny(), run).train()

        def dying(run: Path, number: int) -> Callable[[], object]:
            def act():
                with at_call(number, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                    Run.create(tiny(), run).train()

            return act

        def case(k, rng) -> str:
            run = folder / f"run{k}"
            if k % 2:
                child = forked(dying(run, int(rng.integers(1, calls + 1))))
            else:
                child = forked(train(run))
                time.sleep(rng.uniform(0, 1.2 * seconds))
                kill(child)
            code = ended(child)
            require(code in (0, -signal.SIGKILL), f"ended with {code}")
            what = go_on(run)
            compare(run, expected)
            shutil.rmtree(run)
            return f"{'while it wrote' if k % 2 else 'at a moment'}, {what if code else 'was done'}"

        yield case


@line(
    "signals",
    100,
    "SIGINT and SIGTERM, once or twice, end a run in one line, with a checkpoint that goes on bit for bit",
)
def signals(folder: Path) -> Iterator[Case]:
    """The command itself in a forked process."""
    main = command()
    with short_runs():
        expected, seconds, _ = _whole(folder)

        def case(k, rng) -> str:
            run, errors = folder / f"run{k}", folder / "errors.txt"
            child = forked(lambda: main(["train", "wgan-gp", *WORDS, "--no-report", "--out", str(run)]), errors)
            number = int(rng.choice([signal.SIGINT, signal.SIGTERM]))
            time.sleep(rng.uniform(0, 1.2 * seconds))
            kill(child, number)
            twice = bool(rng.integers(2))
            if twice:
                time.sleep(rng.uniform(0, 0.05))
                kill(child, int(rng.choice([signal.SIGINT, signal.SIGTERM])))
            code = ended(child)
            text = errors.read_text()
            right = (0, 130, 143, -signal.SIGTERM, -signal.SIGINT) if twice else (0, 128 + number, -signal.SIGTERM)
            require(code in right, f"status {code} after signal {number}{' twice' * twice}: {text[-300:]}")
            require("Traceback" not in text, f"a traceback: {text[-300:]}")
            if code in (130, 143) and not twice and run.is_dir() and "stopped by Ctrl-C" not in text:
                require(checkpoint.paths(run), "no checkpoint")
            what = go_on(run)
            compare(run, expected)
            shutil.rmtree(run)
            return f"{'twice' if twice else 'once'}, {what if code else 'was done'}"

        yield case


ROUNDS, MOST = 20, 8
"""Stops of each system; steps of a run."""


def _state(trainer) -> dict[str, bytes]:
    arrays, rest = trainer.state()
    return {name: array.tobytes() for name, array in arrays.items()} | {"rest": repr(sorted(rest.items())).encode()}


@line(
    "resumes",
    ROUNDS * len(SYSTEMS),
    "every system, stopped after any step and restored from its file, ends with the same bits",
)
def resumes(folder: Path) -> Iterator[Case]:
    """Each system in turn, eager and captured in turn; a run of MOST steps on some 60 images."""
    wholes: dict = {}
    sets: dict = {}

    def trainer(name: str, capture: bool):
        wanted = {"steps": MOST, "batch_size": 4, "base": 1, "n_critic": 1, "latent": 4, "capture": capture}
        options = options_for(name, **{k: v for k, v in wanted.items() if k in SYSTEMS[name].takes})
        key = options.data, options.size
        if key not in sets:
            dataset = data.load(options.data, size=options.size)
            sets[key] = replace(dataset, train=dataset.train[:: max(1, len(dataset.train) // 60)])
        return trainer_for(options, sets[key])

    def whole(name: str, capture: bool) -> tuple[list, dict[str, bytes]]:
        if (name, capture) not in wholes:
            one, saved = trainer(name, capture), []
            for _ in range(MOST):
                saved.append(checkpoint.save(_folder(folder, name, capture), one.steps_done, *one.state()))
                one.step()
            wholes[name, capture] = saved, _state(one)
        return wholes[name, capture]

    def case(k, rng) -> str:
        name, capture = list(SYSTEMS)[k % len(SYSTEMS)], bool(k // len(SYSTEMS) % 2)
        saved, expected = whole(name, capture)
        step = int(rng.integers(0, MOST))
        taken = checkpoint.load(saved[step])
        other = trainer(name, capture)
        other.restore(taken.arrays, taken.state)
        while other.steps_done < MOST:
            other.step()
        state = _state(other)
        wrong = sorted(n for n in expected if state.get(n) != expected[n])
        if wrong or state.keys() != expected.keys():
            raise Fault(f"{name}, {'captured' if capture else 'eager'}, from step {step}: other {', '.join(wrong[:4])}")
        return "captured" if capture else "eager"

    yield case


def _folder(folder: Path, name: str, capture: bool) -> Path:
    place = folder / f"{name}-{capture}"
    place.mkdir(exist_ok=True)
    return place
