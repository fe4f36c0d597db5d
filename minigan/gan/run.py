"""Run folders: what `minigan train` leaves behind, by StyleGAN3's conventions, and how a run goes on.

runs/00000-wgan-gp-digits/   training_options.json   log.txt   stats.jsonl (a row a tick)   reals.png
    fakes_init.png fakes000050.png fakes000100.png ...  the same latents through the averaged generator, by step
    checkpoint-000250.safetensors .json ...   the newest `keep` (minigan/checkpoint.py)
    status.json   how it stands now (status.py)
    training.gif  curves.png  metric-classifier.jsonl

What the disk refuses for a while is written later (writing.py).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote

import numpy as np

from .. import checkpoint, data, viz
from .._files import atomic_write, remove_leftovers
from .._terminal import printable, progress_bar
from ..backend import Generator, device
from ..checkpoint import Checkpoint, CheckpointError
from . import bands
from ._stopper import Stopper
from .disk import foretold
from .listener import Listener
from .metrics.classifier import prepared
from .metrics.judging import Observation
from .options import CommonOptions
from .parts import RankFailure
from .penalties import PENALTIES
from .records import LOOKS, TICK, RunFolder, list_runs, norms_of, read_stats
from .restart import (
    clock,
    dataset_of,
    load_generator,
    load_trainer,
    options_of,
    require_same_images,
    restore,
    with_place,
)
from .status import Heartbeat, alone_in
from .stopping import is_time
from .systems.table import trainer_for
from .train import METRIC_STREAM, SAMPLE_STREAM, Stopped, Trainer, TrainingError
from .writing import (
    LOG,
    STATS_DAMAGED,
    WAIT,
    Writer,
    append_metric,
    leave_aside,
    new_folder,
    settle_looks,
    settle_stats,
)

__all__ = [
    "SAMPLE_STREAM",
    "Run",
    "Stopped",
    "append_metric",
    "list_runs",
    "load_generator",
    "load_trainer",
    "options_of",
    "read_stats",
]
BAR = "{n_fmt}/{total_fmt}{postfix} |{bar:10}| {elapsed}<{remaining}, {rate_fmt}"
"""The bar of a run: a narrow terminal cuts it at its end, and shows the losses."""
ENOUGH = 1 << 10
"""Where a stop rule ends a run, in the place of a signal."""
EARLY, SNAP, PREVIEWS, METRIC_SAMPLES = (50, 100), 250, 64, 5000


class Run:
    """One run folder and the trainer that fills it. Make one with `Run.create` or `Run.resume`, then call `train`.

    listeners: told of each row of figures and each picture of samples, too.
    """

    def __init__(self, folder: Path, options: CommonOptions, saved: Checkpoint | None = None) -> None:
        self.folder, self.options = folder, options
        self.origin = None if saved is None else saved.path
        self.dataset = data.load(options.data, size=options.size) if saved is None else dataset_of(options)
        self.digest = self.dataset.digest() if saved is None else require_same_images(self.dataset, saved)
        self.trainer = trainer_for(options, self.dataset)
        self.seconds = 0.0
        self.rows: list[dict[str, float]] = []
        if saved is not None:
            restore(self.trainer, saved)
            self.seconds, self.rows = clock(saved)
        self.bar = None
        self.listeners: list[Listener] = []
        self.patience = getattr(options, "stop_when", 0)
        self.looks: list[float] = []
        self.done = False
        self.writer = Writer(folder, self.say)
        self.heart: Heartbeat | None = None
        self.phase, self.saved = "starting", 0 if saved is None else saved.step

    @classmethod
    def create(
        cls, options: CommonOptions, out: str | os.PathLike | None = None, root: str | os.PathLike = "runs"
    ) -> Run:
        """A new run in `out`, or in the next numbered folder of `root`. Raises ValueError if `out` already holds
        something."""
        options = replace(options, data=data.absolute(options.data))
        run = cls(Path(), options)  # what cannot be built must leave no folder behind
        run.folder = run.writer.folder = new_folder(options, out, Path(root))
        run._write_json("training_options.json", asdict(options))
        return run

    @classmethod
    def resume(
        cls,
        spec: str,
        root: str | os.PathLike = "runs",
        steps: int | None = None,
        place: str | os.PathLike | None = None,
        keep: int | None = None,
        device: str | None = None,
    ) -> Run:
        """The run that `spec` (latest, a folder or a checkpoint file) names, at its newest whole checkpoint.

        steps: a new total number of generator steps; keep: a new number of checkpoints that stay; device: where to
        compute now; the other options are the run's own. place: where the run's folder of images lies now. Raises
        CheckpointError; ValueError, also where another process trains it; DeviceError.
        """
        saved = checkpoint.resolve(spec, root)
        changes = {"steps": steps, "keep": keep, "device": device}
        changes = {name: value for name, value in changes.items() if value is not None}
        run = cls(saved.path.parent, replace(with_place(options_of(saved), place), **changes), saved)
        if run.options.steps < saved.step:
            raise ValueError(
                f"{saved.path} is at step {saved.step}, beyond --steps {run.options.steps} (the total number of steps)"
            )
        with alone_in(run.folder):
            checkpoint.settle(run.folder)
            remove_leftovers(run.folder)
            leave_aside(run.folder, saved.step)
            run._write_json("training_options.json", asdict(run.options))
            run._settle_rows(saved.step)
            before = options_of(saved).steps
            if run.trainer.follows_total and run.options.steps != before:
                run.say(f"the schedule is that of {run.options.steps} steps from here on, no longer of {before}")
        return run

    def _way_on(self) -> str:
        return f"go on with: minigan train --resume {quote(str(self.folder))}"

    def _repr_html_(self) -> str:
        return RunFolder(self.folder)._repr_html_()

    def _settle_rows(self, step: int) -> None:
        """Take up the rows of stats.jsonl and of the looks up to where the run goes on: later ones come again."""
        strange = settle_stats(self.folder, step)
        if strange:
            lines = ", ".join(map(str, strange[:9]))
            self.say(f"lines {lines} of stats.jsonl are no rows of a run; see {self.folder / STATS_DAMAGED}")
        if self.patience:
            self.looks = settle_looks(self.folder, step, SNAP)
            self.done = is_time(self.looks, self.patience)

    def train(self) -> dict:
        """Train to options.steps and close the run; returns the final figures. Raises Stopped after SIGINT or SIGTERM,
        TrainingError, OSError where the disk refuses and will not change its mind, or has not in time."""
        with alone_in(self.folder):
            return self._train_alone()

    def _train_alone(self) -> dict:
        try:
            figures = self._train()
            self._beat("done")
            with suppress(OSError):  # of a heartbeat that the disk refused
                remove_leftovers(self.folder)
            return figures
        except BrokenPipeError:  # who read the lines has gone; nothing is amiss with the run
            raise
        except OSError as error:
            self._beat("failed", str(error))
            if checkpoint.paths(self.folder):
                raise OSError(f"{error}; then {self._way_on()}") from error
            raise
        except BaseException as error:
            self._beat("stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed", str(error))
            raise
        finally:
            for listener in self.listeners:
                listener.close()

    def _train(self) -> dict:
        with self._progress():
            try:
                number = self._steps()
            except RankFailure as error:
                self._save_now()
                raise TrainingError(f"{error}; saved at step {self.trainer.steps_done}; {self._way_on()}") from error
            if number not in (None, ENOUGH):
                self._save_now()
                self.say(f"stopped at step {self.trainer.steps_done}; {self._way_on()}")
                raise Stopped(number)
            return self._close()

    def _steps(self) -> int | None:
        """Train until the steps are done, a signal comes, which is returned, or the stop rule says ENOUGH. Raises
        RankFailure."""
        trainer = self.trainer
        with Stopper() as stopper, trainer.parts.together():
            start = time.monotonic() - self.seconds
            self._open()
            number = trainer.parts.stop(ENOUGH if self.done else stopper.number)
            while trainer.steps_done < self.options.steps and number is None:
                self.rows.append(trainer.step())
                self.writer.patient = True
                self.seconds = time.monotonic() - start
                self._tick()
                self._beat("training")
                number = trainer.parts.stop(ENOUGH if self.done else stopper.number)
        return number

    def _beat(self, phase: str, trouble: str = "") -> None:
        """Say in status.json how the run stands."""
        if self.heart is None:
            self.heart = Heartbeat(self.folder)
        step, steps = self.trainer.steps_done, self.options.steps
        self.heart.beat(phase, trouble or self.writer.trouble, step, steps, self.seconds, self.saved)

    def say(self, text: str) -> None:
        """A line for the terminal and log.txt."""
        text = printable(text)
        if self.bar is not None and not self.bar.disable:
            self.bar.write(text)
        else:
            print(text, flush=True)
        self.writer.write(LOG, text)

    def _progress(self):
        self.bar = progress_bar(
            total=self.options.steps,
            initial=self.trainer.steps_done,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format=BAR,
        )
        return self.bar

    def _open(self) -> None:
        options = self.options
        self._beat("starting")
        sizes = " and ".join(f"{name} {_count(module):,}" for name, module in self.trainer.trained().items())
        self.say(
            f"{options.system} on {self.trainer.subject}: {sizes} parameters,"
            f" steps {self.trainer.steps_done} to {options.steps}, in {self.folder}"
        )
        notes = self.dataset.notes
        for note in data.shown(notes, where=f"in {self.folder / LOG}"):
            self.say(note)
        for note in notes[10:]:
            self.writer.write(LOG, note)
        if self.trainer.steps_done >= options.steps:
            self.say("no step is left to train")
        elif self.done:
            self.say(f"the stop rule has ended this run: no smaller held-out distance in {self.patience} looks")
        else:
            steps, shape = options.steps, self.dataset.info.shape
            self.say(
                foretold(self.folder, self.trainer, shape, PREVIEWS, steps // SNAP + 1 + len(EARLY), steps // TICK + 1)
            )
        if not (self.folder / "fakes_init.png").exists():
            reals = prepared(self.dataset, self.dataset.train[:PREVIEWS], self.options.size)
            viz.save_grid(self.folder / "reals.png", reals, scale=2)
            self._save_fakes("fakes_init.png")

    def preview(self, count: int = PREVIEWS) -> np.ndarray:
        """Images (count, C, H, W) for the same inputs every time."""
        return self._sampler().preview(count)

    def _save_fakes(self, name: str) -> None:
        self.writer.write(name, viz.grid_png(self.preview(), scale=2))
        if not self.writer.trouble:
            for listener in self.listeners:
                listener.samples(self.trainer.steps_done, self.folder / name)

    def _sampler(self) -> Trainer:
        """The trainer that draws pictures and is judged: the simulator would take minutes for it."""
        if not device(self.options.device).simulated:
            return self.trainer
        twin = trainer_for(replace(self.options, device="cpu"), self.dataset)
        twin.restore(*self.trainer.state())
        return twin

    def _tick(self) -> None:
        """After each step: the bar; after some a row of figures, pictures, a checkpoint."""
        step, figures = self.trainer.steps_done, self.rows[-1]
        slope = "gradient_norm" if "gradient_norm" in figures else "g_weight_gradient"
        postfix = {k: figures[k] for k in ("d_loss", "g_loss", "critic_estimate", slope) if k in figures}
        self.bar.set_postfix({k: f"{v:.3g}" for k, v in postfix.items()}, refresh=False)
        self.bar.update(1)
        last = step == self.options.steps
        if step % TICK == 0 or last:
            self._log()
        if step % TICK == 0:
            self.rows = []
        if step % SNAP == 0 or last:
            self._snapshot()
        elif step in EARLY:
            self._save_fakes(f"fakes{step:06d}.png")
        self.writer.settle()

    def _log(self) -> None:
        names = dict.fromkeys(k for row in self.rows for k in row)  # a lazy penalty is not in every step
        mean = {k: float(np.mean([r[k] for r in self.rows if k in r])) for k in names}
        row = {
            "step": self.trainer.steps_done,
            "seconds": round(self.seconds, 3),
            **{k: round(v, 6) for k, v in mean.items()},
        }
        self.writer.write("stats.jsonl", json.dumps(row))
        for listener in self.listeners:
            listener.row(row)
        figures = "  ".join(f"{k} {v:.4g}" for k, v in mean.items())
        line = f"step {row['step']:>6}/{self.options.steps}  {self.seconds:7.1f} s  {figures}"
        if self.bar.disable:  # on a terminal the progress bar says it
            self.say(line)
        else:
            self.writer.write(LOG, line)

    def _snapshot(self) -> None:
        step = self.trainer.steps_done
        self._save_fakes(f"fakes{step:06d}.png")
        self.writer.write("norms.jsonl", json.dumps({"step": step, **norms_of(self.trainer.networks())}))
        if self.patience:
            self._look()
        self._save()

    def _look(self) -> None:
        """A row of held_out.jsonl; whether to stop."""
        step, row = self.trainer.steps_done, self._sampler().look()
        self.writer.write(LOOKS, json.dumps({"step": step, **row}))
        self.looks.append(row["frechet"])
        self.say(f"held-out distance {row['frechet']:.2f}; nearer to a training image {row['memorised']:.1%}")
        self.done = is_time(self.looks, self.patience)
        if self.done:
            self.say(f"stopping: no smaller held-out distance in {self.patience} looks")

    def _save(self) -> None:
        """A checkpoint, and those before it that are too many gone. Where the disk refuses, later."""
        self.writer.save(self._write_checkpoint)

    def _save_now(self) -> None:
        """The same, with all that is owed. Raises OSError where the disk refuses."""
        self._save()
        self.writer.require()

    def _write_checkpoint(self) -> None:
        arrays, state = self.trainer.state()
        state = {**state, "seconds": self.seconds, "data_digest": self.digest, "tick": self.rows}
        checkpoint.save(self.folder, self.trainer.steps_done, arrays, state)
        self.saved = self.trainer.steps_done
        for old in checkpoint.paths(self.folder)[self.options.keep :] if self.options.keep else ():
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def _patiently(self, act: Callable[[], object]) -> None:
        """Do what writes into the folder, with all that is owed; the disk is waited for. Raises OSError in the end."""
        self.writer.save(act)
        self.writer.require(WAIT)

    def _draw_curves(self, stats: list[dict]) -> None:
        title = f"{self.options.system} on {self.options.data}"
        normal = {key: (band.steps, band.low, band.high) for key, band in bands.of(self.options)[0].items()}
        row, panels = PENALTIES.get(getattr(self.options, "penalty", "")), viz.PANELS
        if row is not None:
            panels = viz.with_target(panels, "gradient_norm", row.place, row.target)
        viz.plot_curves(self.folder / "curves.png", stats, self.trainer.formulas(), title, panels, normal)

    def _close(self) -> dict:
        self.writer.patient = True
        self._beat("judging")
        if not checkpoint.paths(self.folder):
            self._snapshot()
        self.writer.require(WAIT)
        stats = read_stats(self.folder)
        if stats:
            self._patiently(lambda: self._draw_curves(stats))
        self._patiently(lambda: viz.save_gif(self.folder / "training.gif", viz.run_frames(self.folder)))
        figures = {"run": str(self.folder), "steps": self.trainer.steps_done, "seconds": round(self.seconds, 1)}
        for line in bands.verdict(self.options, stats):
            self.say(line)
        ending = f"reached step {figures['steps']} in {figures['seconds']:.0f} s"
        try:
            observation = self._sampler().observe(METRIC_SAMPLES, Generator(self.options.seed, METRIC_STREAM))
        except CheckpointError:
            raise
        except ValueError as error:
            self.say(f"{ending}; samples not scored: {error}")
            return figures
        self._patiently(lambda: append_metric(self.folder, self.trainer.steps_done, observation))
        for listener in self.listeners:
            listener.figures(self.trainer.steps_done, observation.figures)
        self.say(f"{ending}: {observation.lines[0]}")
        for line in observation.lines[1:]:
            self.say(line)
        return figures | observation.figures

    def evaluate(self, split: str = "test") -> Observation:
        """What samples show beside a part of the held-out images, "test", "validation" or "all", and beside null
        models. Raises ValueError where there is no judge for the data set."""
        return self._sampler().observe_on(split, METRIC_SAMPLES, Generator(self.options.seed, METRIC_STREAM))

    def _write_json(self, name: str, content: dict) -> None:
        atomic_write(self.folder / name, json.dumps(content, indent=1) + "\n")


def _count(module) -> int:
    return sum(p.data.size for p in module.parameters())
