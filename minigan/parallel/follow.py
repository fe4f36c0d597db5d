"""The first rank of a training makes its run and writes; the others are told of it and follow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from .. import checkpoint, data
from ..gan._stopper import Stopper
from ..gan.parts import RankFailure
from ..gan.restart import restore
from ..gan.run import Run
from ..gan.systems.table import options_from, trainer_for
from ..gan.train import Trainer
from .mpi import MpiRanks
from .nccl import over


def lead(ranks: MpiRanks, new_run: Callable[[], Run]) -> Run:
    """On rank 0: the run that `new_run` makes or resumes, which the other ranks are told of. What it raises ends them,
    too."""
    try:
        run = new_run()
        run.trainer.parts.share(ranks)  # or say that these ranks cannot
    except BaseException as error:
        if ranks.size > 1:
            with suppress(RankFailure):
                ranks.tell(RankFailure(str(error)))
        raise
    if ranks.size > 1:
        options = run.trainer.state()[1]["options"] | {"steps": run.options.steps}
        ranks.tell((options, None if run.origin is None else str(run.origin)))
        run.trainer.parts.share(over(ranks, run.options.device))
    return run


def follow(ranks: MpiRanks) -> None:
    """On the other ranks: train what rank 0 tells, in step with it. Raises RankFailure, TrainingError, and what goes
    wrong here, of which the others are told."""
    options, path = ranks.tell(None)
    trainer, steps = _trainer(options, path), options["steps"]
    trainer.parts.share(over(ranks, trainer.options.device))
    with Stopper() as stopper, trainer.parts.together():
        number = trainer.parts.stop(stopper.number)
        while trainer.steps_done < steps and number is None:
            trainer.step()
            number = trainer.parts.stop(stopper.number)


def _trainer(record: dict, path: str | None) -> Trainer:
    """The trainer of a run that begins, or goes on from a checkpoint."""
    options = options_from(record)
    trainer = trainer_for(options, data.load(options.data, size=options.size))
    if path is not None:
        restore(trainer, checkpoint.load(path))
    return trainer
