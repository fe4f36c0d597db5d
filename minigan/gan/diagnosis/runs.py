"""What is wrong with a run? From the rows of its stats.jsonl, its options, and the samples of its newest checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..._files import parse_json
from ...backend import Generator
from ..records import read_stats
from .finding import Finding

SAMPLES = 100
FEW = 4
"""Rows that a rule about the course of a run needs."""


def diagnose_run(folder: Path) -> tuple[list[Finding], list[str]]:
    """(findings, lines about the run). Raises ValueError for a folder without figures, CheckpointError for damaged
    ones."""
    rows = read_stats(folder)
    options = {}
    with suppress(OSError, ValueError):
        options = parse_json((folder / "training_options.json").read_text(encoding="utf-8"))
    options = options if isinstance(options, dict) else {}
    if not rows:
        raise ValueError(
            f"doctor: {folder} has no figures yet (stats.jsonl is missing or empty); train it for 25 steps"
        )
    findings = [*of_course(rows, options.get("penalty", "two-sided")), *_raised(folder)]
    about = [f"{options.get('system', 'a run')}, {rows[-1]['step']} steps, {len(rows)} rows of figures"]
    if len(rows) < FEW:  # and a new generator draws one grey image
        about.append(f"too early: the course and the samples are looked at from {FEW} rows of figures on")
    elif not any(f.name == "not-finite" for f in findings):
        try:
            findings += of_samples(*_samples(folder))
        except Exception as error:  # no checkpoint yet, or of another version: the course is all there is
            about.append(f"the samples were not looked at: {error}")
    return findings, about


def of_course(rows: list[dict], penalty: str = "two-sided") -> Iterator[Finding]:
    """Findings from the course of the figures; `penalty` is the run's row of PENALTIES."""
    last = rows[-max(FEW, len(rows) // 4) :]
    step = int(rows[-1]["step"])

    def column(name: str, part: list[dict] = rows) -> np.ndarray:
        return np.array([float(r[name]) for r in part if name in r])

    for key, name, player in (
        ("g_weight_gradient", "generator-never-trains", "G"),
        ("d_weight_gradient", "critic-never-trains", "D"),
    ):
        norms = column(key, last)
        if len(norms) and norms.max() < 1e-9:
            yield Finding(name, f"the gradient of {player}'s weights is {norms.max():.2g} up to step {step}")
        elif len(norms) and (norms.max() > 1e5 or (len(rows) >= FEW and norms[-1] > 1e3 * max(column(key)[0], 1.0))):
            steps = [int(r["step"]) for r in last if key in r]
            peak = int(norms.argmax())
            evidence = f"the gradient of {player}'s weights is {norms[peak]:.3g} at step {steps[peak]}"
            if norms[-1] > column(key)[0]:
                evidence = f"{evidence}; it grew from {column(key)[0]:.3g} to {norms[-1]:.3g} at step {steps[-1]}"
            yield Finding("exploding", evidence)
    if len(rows) < FEW:
        return
    real, fake = column("d_real", last), column("d_fake", last)
    if len(real) and len(fake) and np.median(real) > 0.99 and np.median(fake) < 0.01:
        evidence = (
            f"D says {np.median(real):.4f} to reals and {np.median(fake):.2g} to fakes in the last {len(real)} rows"
        )
        yield Finding("critic-saturated", evidence)
    slopes = column("gradient_norm", last) if penalty == "two-sided" else np.empty(0)  # others pull elsewhere
    if len(slopes) and (np.median(slopes) > 3 or np.median(slopes) < 0.2) and len(column("penalty")):
        evidence = (
            f"the mean slope of the critic is {np.median(slopes):.3g} in the last {len(slopes)} rows; it is held to 1"
        )
        yield Finding("penalty-not-held", evidence)
    for key in ("d_loss", "g_loss"):
        values = column(key, last)
        if len(values) >= FEW and np.ptp(values) == 0:
            yield Finding("standing-still", f"{key} is {values[0]:.6g} in each of the last {len(values)} rows")


def _raised(folder: Path) -> Iterator[Finding]:
    """A run that ended because a number was none."""
    with suppress(OSError):
        text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        for line in reversed(text.splitlines()):
            if "not finite" in line or "nan" in line.lower().split():
                yield Finding("not-finite", line.strip())
                return


def _samples(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from ...data import evenly_spaced
    from ..metrics.classifier import prepared
    from ..run import load_trainer

    trainer, _ = load_trainer(str(folder))
    fakes = np.asarray(trainer.draw(SAMPLES, Generator(trainer.options.seed, 6)))
    reals = prepared(trainer.dataset, evenly_spaced(trainer.dataset.train, SAMPLES), trainer.options.size)
    return np.asarray(reals), fakes


def of_samples(reals: np.ndarray, fakes: np.ndarray) -> Iterator[Finding]:
    """Findings from images (N, C, H, W): a collapsed generator draws one image, whatever the latent."""
    if not np.isfinite(fakes).all():
        yield Finding("not-finite", "the generator draws numbers that are not finite")
        return
    spread = [float(_distances(x).mean()) for x in (reals, fakes)]
    if spread[1] < 0.05 * spread[0]:
        evidence = f"two samples lie {spread[1]:.3g} apart, two training images {spread[0]:.3g} (means)"
        yield Finding("collapsed", evidence)


def _distances(x: np.ndarray) -> np.ndarray:
    """Between neighbours of a list of images, root mean squares."""
    rows = x.reshape(len(x), -1).astype(float)
    return np.sqrt(((rows - np.roll(rows, 1, 0)) ** 2).mean(1))
