"""`minigan toy`: train a GAN of points, draw it, score it. What its folder holds:

samples.png    2,500 samples on reals; the critic's landscape with its gradient field
curves.png     losses, outputs and scores by generator step
training.gif   samples and landscape as they move
figures.json   options and scores
generator.safetensors   weights of the generator that samples come from, which `minigan eval` judges again
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ... import viz
from ..._files import atomic_write, make_folder, parse_json
from ..._terminal import progress_bar
from ...checkpoint import CheckpointError
from ..losses import loss
from . import data as toydata
from . import viz as toyviz
from .nulls import null_scores, sampling_margins, winners
from .options import ToyOptions
from .trainer import ToyTrainer

FRAMES, LOOKS = 40, 400


def run(options: ToyOptions, out: str | os.PathLike | None = None, quiet: bool = False) -> dict:
    """Train to the end and write the folder; the figures. Progress goes to stderr unless quiet.

    Raises ValueError where `out` holds something else than an earlier run of the same options, TrainingError when
    training diverges.
    """
    from safetensors.numpy import save

    points = toydata.load(options.data)
    trainer = ToyTrainer(options, points)
    folder = _folder(options, out)
    real = points.sample(600, 11)
    history: list[dict] = []
    frames = []
    every, snap = max(1, options.steps // LOOKS), max(1, options.steps // FRAMES)
    start, shares = time.perf_counter(), {}
    tty = sys.stderr.isatty()  # a file holds no bar
    bar = progress_bar(total=options.steps, unit="step", disable=quiet or not tty, dynamic_ncols=True, mininterval=0.5)
    with bar:
        # A row keeps the scores of the last look, so that their curve is a staircase.
        for step in trainer.train(every, lambda step, values: history.append({"step": step, **values, **shares})):
            bar.update(step - bar.n)
            if step // snap > (step - every) // snap or step == options.steps:
                frames.append(toyviz.frame(trainer, trainer.sample(600, 1), real, f"{points.name}, step {step:,}"))
                if points.modes is not None:
                    scores = toydata.mode_scores(trainer.sample(toydata.SAMPLES), points.modes, points.sigma)
                    shares["high_quality"] = scores["high_quality"]
                    shares["mode_share"] = scores["modes"] / len(points.modes)
                    history[-1] |= shares
                    bar.set_postfix_str(f"{scores['modes']} modes, {scores['high_quality']:.0%} HQ", refresh=False)
    seconds = time.perf_counter() - start
    samples = trainer.sample(toydata.SAMPLES)
    figures = {
        "data": options.data,
        "loss": options.loss,
        "trick": options.trick,
        "seed": options.seed,
        "steps": options.steps,
        "seconds": round(seconds, 1),
        "out": str(folder),
        **_scores(samples, points),
    }
    nulls = {name: _finite(row) for name, row in null_scores(points).items()}
    figures |= {"null_models": nulls, "beaten_by": winners(figures, nulls, sampling_margins(figures))}
    row = loss(options.loss)
    title = f"{points.name}, {options.loss}, {options.trick}, {options.steps:,} steps, seed {options.seed}"
    toyviz.save_picture(folder / "samples.png", trainer, samples, f"{title}: {line(figures)}")
    d_formula, _, g_formula = row.formula.partition(";")
    formulas = {"d_loss": d_formula.removeprefix("D: "), "g_loss": g_formula.strip().removeprefix("G: ")}
    toyviz.save_curves(folder / "curves.png", history, title, formulas, trainer.trick.penalty)
    viz.save_gif(folder / "training.gif", frames)
    weights = save(trainer.average.module.state_dict())
    record = {"options": asdict(options), "figures": figures, "generator_sha256": sha256(weights).hexdigest()}
    atomic_write(folder / "generator.safetensors", weights)
    atomic_write(folder / "figures.json", json.dumps(record, indent=1))
    return figures


def evaluate(folder: str | os.PathLike, count: int = toydata.SAMPLES, seed: int = 0) -> dict:
    """The scores of `count` new samples of a run that `run` wrote.

    Raises CheckpointError, naming the file, where the folder holds no such run or another's weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder)
    try:
        record = parse_json((folder / "figures.json").read_text())
        options = ToyOptions(**record["options"])
        trainer = ToyTrainer(replace(options, device="cpu"))
        weights = (folder / "generator.safetensors").read_bytes()
        if record.get("generator_sha256", digest := sha256(weights).hexdigest()) != digest:
            raise ValueError("generator.safetensors is damaged: its SHA-256 is not the one in figures.json")
        trainer.average.module.load_state_dict(load(weights))
    except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} holds no toy run that can be judged: {error}") from error
    figures = {"data": options.data, "loss": options.loss, "trick": options.trick, "steps": options.steps}
    return figures | _scores(trainer.sample(count, seed), trainer.points, seed)


def _scores(samples: np.ndarray, points: toydata.Points, seed: int = 0) -> dict:
    return _finite(toydata.scores(samples, points, seed))


def _finite(scores: dict) -> dict:
    """The scores, ready for JSON: a reverse KL that is infinite, for want of any good sample, is None."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in scores.items()}


def line(figures: dict) -> str:
    """The scores in one line for a person."""
    parts = []
    if "modes" in figures:
        kl = figures["reverse_kl"]
        parts.append(
            f"{figures['modes']} of {len(figures['histogram'])} modes, {figures['held']} of them held,"
            f" {figures['high_quality']:.1%} high quality (ceiling {toydata.CEILING:.1%}), coverage"
            f" {figures['coverage']:.3f}, reverse KL {'infinite' if kl is None else f'{kl:.3f}'}"
        )
    if "w1" in figures:
        parts.append(f"W1 {figures['w1']:.4f} (reals among themselves {figures['w1_floor']:.4f})")
    return ", ".join(parts) or "samples are not finite"


def _folder(options: ToyOptions, out: str | os.PathLike | None) -> Path:
    if out is not None:
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            try:
                earlier = parse_json((folder / "figures.json").read_text())["options"]
            except (OSError, ValueError, LookupError, TypeError):
                raise ValueError(f"{folder} already holds something that is no toy run; name another folder") from None
            if earlier != asdict(options):
                raise ValueError(f"{folder} already holds a toy run of other options; name another folder")
        make_folder(folder)
        return folder
    root = Path("toy")
    make_folder(root)
    numbers = [int(m[1]) for p in root.iterdir() if (m := re.match(r"(\d{5})-", p.name))]
    folder = root / f"{max(numbers, default=-1) + 1:05d}-{Path(options.data).stem}-{options.loss}-{options.trick}"
    folder.mkdir()
    return folder
