"""What the first rank tells the others: from which checkpoint all begin."""

import shutil
from dataclasses import replace

import pytest

from minigan import checkpoint
from minigan.gan.run import Run
from minigan.parallel import follow
from minigan.torture.world import short_runs, tiny


class Told:
    """The first of two ranks; keeps what it tells."""

    rank, size = 0, 2

    def tell(self, what):
        self.what = what


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 12 steps with checkpoints 6, 9 and 12, and the first under a name of its own."""
    folder = tmp_path_factory.mktemp("ranks") / "run"
    with short_runs():
        Run.create(replace(tiny(), parts=2), folder).train()
    first = checkpoint.paths(folder)[-1]
    for suffix in (".json", ".safetensors"):
        shutil.copy(first.with_suffix(suffix), folder / f"best{suffix}")
    return folder, first


def led(make) -> tuple[Run, tuple]:
    ranks = Told()
    return follow.lead(ranks, make), ranks.what


def test_all_ranks_begin_where_the_first_does(trained, tmp_path):
    """At a checkpoint of any name; at the newest; at none."""
    folder, first = trained
    for spec, path in ((folder, checkpoint.paths(folder)[0]), (folder / "best.json", folder / "best.json")):
        run, (options, told) = led(lambda spec=spec: Run.resume(str(spec), steps=20))
        other = follow._trainer(options, told)
        assert told == str(path) and other.steps_done == run.trainer.steps_done
        arrays, others = run.trainer.state()[0], other.state()[0]
        assert [name for name in arrays if arrays[name].tobytes() != others[name].tobytes()] == []
    assert run.trainer.steps_done == checkpoint.step_of(first)
    _, (_, told) = led(lambda: Run.create(replace(tiny(), parts=2), tmp_path / "new"))
    assert told is None
