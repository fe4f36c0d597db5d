"""`minigan bench quality`: seconds until the digits are good, of the default run and of the same recipe in PyTorch.

Each contestant has a process of its own; they take turns of LOOK generator steps, so that a drift of the machine meets
both. After each turn the same latents go through the averaged generator, and the judge says what share of the images
it is confident of. The clock of a contestant runs from the start of its process: imports, data, the first step with
all that it records, training. It stands still while the other one trains, while images are drawn, and while the judge
looks. On one thread it counts the seconds in which the process has a core: for a machine that others use as well. What
is reported of the end is measured on other latents, beside real images of the test half.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol

import numpy as np

from . import processor
from .run import Process, machine

RECIPES = {"minigan": "recipe_minigan", "torch": "recipe_torch"}
STEPS, LOOK, SAMPLES, FINAL = 2000, 50, 1000, 5000
"""Generator steps of the default run, those between two looks, and images of a look and of the end."""

LEVELS = (0.6, 0.7, 0.8, 0.9)
FIRST_SEED = 11
LATENT = 100


class Contestant(Protocol):
    """What trains: `start` seconds until it was ready; `train` some steps, returns their seconds; `draw` images."""

    start: float

    def train(self, steps: int) -> float: ...

    def draw(self, latents: np.ndarray) -> np.ndarray: ...


class Judge(Protocol):
    """What looks at images (N, C, S, S): `confident` says of what share it is sure, `report` all of its figures."""

    def confident(self, images: np.ndarray) -> float: ...

    def report(self, images: np.ndarray) -> dict: ...


def race(
    contestants: dict[str, Contestant],
    judge: Judge,
    seed: int,
    steps: int = STEPS,
    look: int = LOOK,
    show: Callable[[str], object] = lambda line: None,
    keep: Callable[[dict], object] = lambda rows: None,
) -> dict:
    """Train all of them in turns; {contestant: {"start_s", "looks": [{"steps", "seconds", "confident"}], "seconds",
    "reached": {level: seconds, or None}, "end": the judge's report}}. keep(rows) is handed what is there after each
    turn, without the last two."""
    random = np.random.default_rng(seed)
    latents, last = (random.standard_normal((n, LATENT)).astype(np.float32) for n in (SAMPLES, FINAL))
    figures = {name: {"start_s": c.start, "looks": [], "seconds": c.start} for name, c in contestants.items()}
    for turn, done in enumerate(range(0, steps, look)):
        count = min(look, steps - done)
        order = list(contestants)
        for name in order if turn % 2 == 0 else order[::-1]:
            row = figures[name]
            row["seconds"] += contestants[name].train(count)
            share = judge.confident(contestants[name].draw(latents))
            row["looks"].append({"steps": done + count, "seconds": row["seconds"], "confident": share})
            show(f"seed {seed}, step {done + count}: {name}, {row['seconds']:.0f} s, {share:.1%} confident")
        keep(figures)
    for name, row in figures.items():
        row["reached"] = {level: reached(row["looks"], level) for level in LEVELS}
        row["end"] = judge.report(contestants[name].draw(last))
    return figures


def reached(looks: Sequence[dict], level: float) -> float | None:
    """Seconds at the first look that finds at least that share; None where none does."""
    return next((look["seconds"] for look in looks if look["confident"] >= level), None)


class Racer(Process):
    """A contestant in a process of its own."""

    def __init__(self, name: str, seed: int, threads: int, folder: Path) -> None:
        self.folder, since = folder, time.perf_counter()
        order = {"module": RECIPES[name], "seed": seed, "threads": threads, "folder": str(folder)}
        super().__init__("minigan.bench.quality", order, threads)
        self.start = self.hello.get("seconds") or time.perf_counter() - since

    def train(self, steps: int) -> float:
        """Seconds of that many steps."""
        return self.ask(str(steps))["seconds"]

    def draw(self, latents: np.ndarray) -> np.ndarray:
        """The averaged generator's images."""
        np.save(self.folder / "latents.npy", latents)
        return np.load(self.ask("draw")["path"])


class DigitsJudge:
    """The classifier of handwritten digits. What it reports stands beside real images of the test half; `real` is what
    it finds of the validation half, by the way that looks are judged."""

    def __init__(self) -> None:
        from ..data import load
        from ..gan.metrics import classifier, judging

        self.dataset = load("digits", size=32)
        self.model = judging.judge_of("digits", self.dataset.info).model
        half = self.dataset.half("validation")
        self.real = self._share(classifier.prepared(half, half.held_out))

    def confident(self, images: np.ndarray) -> float:
        """The share of images that it gives one class more than 0.9."""
        from ..gan.metrics import classifier

        return self._share(classifier.shrunk(images))

    def report(self, images: np.ndarray) -> dict:
        """All of its figures of images, on the test half."""
        from ..gan.metrics import report

        return {"split": "test", **report.evaluate(images, self.model, self.dataset.half("test")).as_dict()}

    def _share(self, images: np.ndarray) -> float:
        from ..gan.metrics import classifier, report

        parts = [probabilities.max(1) for _, probabilities in classifier.judge(self.model, images)]
        return float((np.concatenate(parts) > report.CONFIDENT).mean())


def quality(
    seeds: int, threads: int, quick: bool, show: Callable[[str], object], keep: Callable[[dict], object]
) -> dict:
    """{"machine", "steps", "look", "seeds": {seed: what `race` returns}}, of seeds from FIRST_SEED on. keep(figures) is
    handed what is there after each. Raises ValueError where PyTorch is absent, WorkerError where a contestant fails."""
    if importlib.util.find_spec("torch") is None:
        raise ValueError("bench quality: torch is not installed; pip install 'minigan[bench]' installs all peers")
    steps, look = (4, 2) if quick else (STEPS, LOOK)
    figures: dict = {"machine": machine(list(RECIPES), threads), "steps": steps, "look": look, "seeds": {}}
    show("quality: the judge")
    judge = DigitsJudge()
    figures["real_confident_validation"] = judge.real

    def note(seed: int, rows: dict) -> None:
        figures["seeds"][seed] = rows
        keep(figures)

    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minigan-bench-")))
            racers = {}
            for name in RECIPES:  # one after the other: minigan's first weights are the others', too
                racers[name] = Racer(name, seed, threads, folder)
                stack.callback(racers[name].close)
            figures["seeds"][seed] = race(racers, judge, seed, steps, look, show, partial(note, seed))
            note(seed, figures["seeds"][seed])
    return figures


def text(figures: dict) -> str:
    """The table, for a person: medians over the seeds."""
    from .report import head

    rows = list(figures["seeds"].values())
    lines = [head(figures["machine"]), ""]
    lines += ["Processor time."] if figures["machine"]["threads"] == 1 else []
    lines += [f"{'seconds to':<12}" + "".join(f"{level:>9.0%}" for level in LEVELS) + "      end  confident then"]
    times = {name: _times([row[name] for row in rows]) for name in RECIPES}
    for name, row in times.items():
        ends = [r[name]["end"] for r in rows]
        share, real = (median(end[key] for end in ends) for key in ("confident", "real_confident"))
        lines.append(f"{name:<12}" + "".join(map(_cell, row)) + f"  {share:.1%} (real {real:.1%})")
    ratios = [b / a if a and b else None for a, b in zip(*times.values(), strict=True)]
    lines.append(f"{'torch / own':<12}" + "".join("        -" if r is None else f"{r:>9.2f}" for r in ratios))
    lines.append(f"seeds {', '.join(map(str, figures['seeds']))}; {figures['steps']} generator steps each")
    return "\n".join(lines)


def _times(rows: list[dict]) -> list[float | None]:
    """Median seconds to each level, None where fewer than half of the seeds reach it; then those of the whole run."""
    times = []
    for level in LEVELS:
        values = sorted(row["reached"][level] or np.inf for row in rows)
        times.append(float(median(values)) if median(values) < np.inf else None)
    return [*times, median(row["seconds"] for row in rows)]


def _cell(seconds: float | None) -> str:
    return "        -" if seconds is None else f"{seconds:>9.1f}"


def serve() -> None:
    """The other end of a Racer: each line of standard input is a number of steps to train, or "draw"."""
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not fall between the answers
    now = processor.clock(order["threads"])
    try:
        module = importlib.import_module(f"minigan.bench.{order['module']}")
        if order["module"] == "recipe_torch":
            importlib.import_module("torch").set_num_threads(order["threads"])
        folder = Path(order["folder"])
        recipe = module.Recipe(order["seed"], folder)
        answers.write(json.dumps({"seconds": now()} if now is time.process_time else {}) + "\n")
        for line in sys.stdin:
            if line.strip() == "draw":
                path = folder / f"{order['module']}.npy"
                np.save(path, recipe.samples(np.load(folder / "latents.npy")))
                answers.write(json.dumps({"path": str(path)}) + "\n")
                continue
            since = now()
            for _ in range(int(line)):
                recipe.step()
            answers.write(json.dumps({"seconds": now() - since}) + "\n")
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        answers.write(json.dumps({"error": f"{type(error).__name__}: {lines[0]}"}) + "\n")


if __name__ == "__main__":
    serve()
