"""Sums of gradients by NCCL, in the simulator: the order of the parts, on the device, and the bits of one process."""

import os

import numpy as np
import pytest
from thread_ranks import Threads

from minigan import cudasim
from minigan.backend import module_of
from minigan.cudasim.nccl import World
from minigan.data import load
from minigan.gan.parts import in_order
from minigan.gan.systems import options_for, trainer_for
from minigan.parallel import launch, nccl
from minigan.parallel.nccl import NcclRanks

pytestmark = pytest.mark.skipif(
    not cudasim.available(), reason="the simulator compiles kernels with g++: not installed"
)
VECTORS = list(np.random.default_rng(0).standard_normal((12, 50)) * 10.0 ** np.arange(50))


def on_devices(size, function):
    """function(NcclRanks) on so many simulated devices; the results, or what was raised."""
    world = World(module_of("cudasim"), size)
    return Threads(size).run(lambda control: function(NcclRanks(control, world.backend(control.rank))))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_sum_has_the_order_of_the_parts(size):
    """Bit for bit that of one process, on every device, without the host."""
    xp, each = module_of("cudasim"), len(VECTORS) // size

    def add(ranks):
        vectors = [xp.asarray(v) for v in VECTORS[ranks.rank * each : (ranks.rank + 1) * each]]
        syncs = xp.syncs
        total = ranks.ordered_sum(vectors)
        assert xp.syncs == syncs or size > 1  # of several threads, those of others count, too
        return total.get()

    for total in on_devices(size, add):
        assert not isinstance(total, Exception), total
        assert total.tobytes() == in_order(VECTORS).tobytes()


def test_a_fast_sum_is_the_sum():
    xp = module_of("cudasim")

    def fast(ranks):
        ranks.control.fast = True
        return ranks.ordered_sum([xp.asarray(v) for v in VECTORS[6 * ranks.rank : 6 * ranks.rank + 6]]).get()

    for total in on_devices(2, fast):
        assert np.allclose(total, np.sum(VECTORS, axis=0), rtol=1e-12)


def test_training_on_simulated_devices_has_the_bits_of_one():
    """A step of two parts, on one device and on two: weights, moments, buffers, counters; batch norm over both."""

    def after(ranks=None):
        options = options_for(
            "dcgan", base=1, batch_size=4, latent=4, parts=2, device="cudasim", capture=False, sync_norm=True
        )
        t = trainer_for(options, load(options.data, size=options.size))
        if ranks is not None:
            t.parts.share(ranks)
        t.step()
        arrays, rest = t.state()
        return {k: a.tobytes() for k, a in arrays.items()} | {"counters": rest["counters"]}

    alone = after()
    for shared in on_devices(2, after):
        assert not isinstance(shared, Exception), shared
        assert [k for k in alone if alone[k] != shared[k]] == []


def test_a_rank_takes_its_own_gpu(monkeypatch):
    """By its number on its machine, among those that are visible; not where there is no such number."""
    for name in (*launch.LOCAL_RANK_VARIABLES, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    launch.take_own_gpu()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("SLURM_LOCALID", "3")
    for visible, own in (("", "3"), ("5,7,2", "5"), ("GPU-a,GPU-b", "GPU-b")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        launch.take_own_gpu()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == own


def test_nccl_adds_where_several_ranks_have_gpus(monkeypatch):
    monkeypatch.setattr(nccl, "NcclRanks", lambda ranks: "nccl")
    several, one = (type("Ranks", (), {"size": n})() for n in (2, 1))
    assert nccl.over(several, "cuda") == "nccl"
    assert nccl.over(one, "cuda") is one and nccl.over(several, "cpu") is several
