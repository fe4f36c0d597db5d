"""A run that was saved, as a trainer again: its options, its data set, its weights."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from .. import checkpoint, data, nn
from ..checkpoint import Checkpoint, CheckpointError
from ..data.folder import parse
from .options import CommonOptions
from .records import is_number
from .systems.table import options_from, trainer_for
from .train import Trainer


def options_of(saved: Checkpoint) -> CommonOptions:
    """The options a checkpoint's run was made with. Raises CheckpointError for options this version does not know."""
    try:
        return options_from(saved.state["options"])
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{saved.path} was written by another version of minigan: {error}") from error


def load_trainer(
    spec: str,
    root: str | os.PathLike = "runs",
    device: str = "cpu",
    with_data: bool = True,
    place: str | os.PathLike | None = None,
) -> tuple[Trainer, Checkpoint]:
    """The whole system of a run (latest, a folder or a checkpoint file), on a device, and its checkpoint.

    with_data: False where its data set need not be read: the trainer can then sample but not train or be judged. A
    system of classes reads it all the same where they are known from the images only. place: where the run's folder of
    images lies now. Raises CheckpointError, where other images are there, too, and ValueError.
    """
    saved = checkpoint.resolve(spec, root)
    options = replace(with_place(options_of(saved), place), device=device)
    trainer = None
    if not with_data:
        with suppress(ValueError):  # what the data set's row does not tell, the data set does
            trainer = trainer_for(options, data.info(options.data, options.size))
    if trainer is None:
        dataset = dataset_of(options)
        require_same_images(dataset, saved)
        trainer = trainer_for(options, dataset)
    restore(trainer, saved)
    return trainer, saved


def with_place(options: CommonOptions, place: str | os.PathLike | None) -> CommonOptions:
    return options if place is None else replace(options, data=data.moved(options.data, place))


def dataset_of(options: CommonOptions) -> data.Dataset:
    """The images that a run was trained on. Raises ValueError, with the way out where their folder is gone."""
    folder = parse(options.data)
    if folder is not None and not folder.path.is_dir():
        raise ValueError(f"{folder.path}, which the run was trained on, is no folder now; say by --data where it lies")
    return data.load(options.data, size=options.size)


def require_same_images(dataset: data.Dataset, saved: Checkpoint) -> str:
    """The digest of the data set. Raises CheckpointError where the run was trained on others."""
    digest = dataset.digest()
    if saved.state.get("data_digest", digest) != digest:
        raise CheckpointError(
            f"{saved.path}: its run was trained on other images than {dataset.name} holds now; give it the data set as"
            " it was, or start a new run"
        )
    return digest


def restore(trainer: Trainer, saved: Checkpoint) -> None:
    """The trainer as the checkpoint says, whose bytes are right, but may be of anybody. Raises CheckpointError."""
    try:
        trainer.restore(saved.arrays, saved.state)
        if trainer.steps_done != saved.step:
            raise ValueError(f"its state is of step {trainer.steps_done}, not {saved.step}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{saved.path} does not fit the networks its options describe: {error}") from error


def clock(saved: Checkpoint) -> tuple[float, list[dict[str, float]]]:
    """(seconds of training so far, figures of each step since the last row of stats.jsonl). Raises CheckpointError."""
    seconds, rows = saved.state.get("seconds"), saved.state.get("tick", [])
    whole = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    whole = whole and (not rows or bool(set.intersection(*map(set, rows))))  # a lazy penalty is not in each
    if not whole or not all(map(is_number, (seconds, *(v for row in rows for v in row.values())))) or seconds < 0:
        raise CheckpointError(f"{saved.path} does not say its 'seconds' and 'tick' in numbers")
    return seconds, rows


def load_generator(spec: str, root: str | os.PathLike = "runs") -> tuple[nn.Module, CommonOptions, Checkpoint]:
    """The averaged generator of a run in evaluation mode, its options, and the checkpoint. Raises CheckpointError."""
    trainer, saved = load_trainer(spec, root, with_data=False)
    return trainer.average.module.eval(), trainer.options, saved
