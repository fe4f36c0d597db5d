"""A batch in parts: the same sum wherever the parts are computed, the same run on any number of ranks."""

import numpy as np
import pytest
from thread_ranks import Threads

import minigan as mg
from minigan.data import load
from minigan.gan.parts import APART, OneProcess, Parts, RankFailure, _after, _shifted
from minigan.gan.systems import options_for, trainer_for

SMALL = {"base": 2, "batch_size": 8, "latent": 4, "capture": False}


def trainer(system="dcgan", **settings):
    options = options_for(system, **{**SMALL, **settings})
    return trainer_for(options, load(options.data, size=options.size))


VECTORS = [v.astype(np.float64) for v in np.random.default_rng(0).standard_normal((12, 50)) * 10.0 ** np.arange(50)]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_sum_has_the_order_of_the_parts(size):
    """Bit for bit that of one process, on every rank."""
    each = len(VECTORS) // size
    sums = Threads(size).run(lambda r: r.ordered_sum(VECTORS[r.rank * each : (r.rank + 1) * each]))
    for total in sums:
        assert total.tobytes() == OneProcess().ordered_sum(VECTORS).tobytes()


def test_a_fast_sum_is_the_sum():
    def fast(ranks):
        ranks.fast = True
        return ranks.ordered_sum(VECTORS[6 * ranks.rank : 6 * ranks.rank + 6])

    for total in Threads(2).run(fast):
        assert np.allclose(total, np.sum(VECTORS, axis=0), rtol=1e-12)


def test_the_mean_of_the_parts_is_the_gradient_of_the_batch():
    """Of a network that does not look across its batch, on the same latents: the weight gradient of four parts against
    that of the four batches put together, by hand."""
    t = trainer("lsgan", parts=4, critic_norm=False)
    whole, start = t.generator, t.counters()
    latents = []
    for part in range(4):
        t.set_counters(_shifted(start, part))
        latents.append(t.inputs(2, t.random["latent_d"]).numpy())
    t.set_counters(start)
    assert len({z.tobytes() for z in latents}) == 4
    with mg.no_grad():
        fakes = np.concatenate([whole(mg.Tensor(z)).numpy() for z in latents])
    reals = np.concatenate([t.loader.batch(k)[0] for k in range(4)])
    params = list(t.critic.parameters())
    scores = [t.critic(mg.Tensor(images)) for images in (reals, fakes)]
    expected = mg.grad(t.loss.discriminator(*map(t.loss.head, scores)), params)
    t.parts.gradients(t, t.half_steps()[0])
    for p, g in zip(params, expected, strict=True):
        assert np.allclose(p.grad.numpy(), g.numpy(), rtol=1e-4, atol=1e-6 * np.abs(g.numpy()).max())


@pytest.mark.parametrize("system", ["dcgan", "wgan-gp", "acgan"])
def test_ranks_have_the_bits_of_one_process(system):
    """All arrays and counters after three steps on 1, 2 and 4 ranks, batch norm's buffers among them."""

    def run(ranks):
        t = trainer(system, parts=4)
        if ranks is not None:
            t.parts.share(ranks)
        for _ in range(3):
            t.step()
        arrays, rest = t.state()
        return {k: a.tobytes() for k, a in arrays.items()} | {"counters": rest["counters"]}

    alone = run(None)
    for size in (2, 4):
        for shared in Threads(size).run(run):
            assert not isinstance(shared, Exception), shared
            assert [k for k in alone if alone[k] != shared[k]] == []


@pytest.mark.parametrize("captured", [False, True])
def test_a_lazy_penalty_is_of_whole_steps(captured):
    """In every third critic step all parts have it, in the others none: as with one part."""
    penalised = {}
    for parts in (1, 4):
        t = trainer("r3gan", parts=parts, penalty_every=3, capture=captured)
        penalised[parts] = ["penalty" in t.step() for _ in range(7)]
    assert penalised[4] == penalised[1] == [True, False, False, True, False, False, True]


def test_a_captured_run_in_parts_is_the_eager_one():
    arrays = []
    for captured in (False, True):
        t = trainer("dcgan", parts=2, capture=captured)
        for _ in range(3):
            t.step()
        arrays.append(t.state()[0])
    assert [k for k in arrays[0] if arrays[0][k].tobytes() != arrays[1][k].tobytes()] == []


def test_counters_go_on_as_those_of_a_whole_batch():
    """As many draws of each stream as of one part; a batch of data for each part; what was not drawn stays."""
    start = {"loader": {"step": 8, "seed": 0}, "a": {"seed": 0, "stream": 3, "step": 5}}
    begun = _shifted(start, 2)
    assert begun == {"loader": {"step": 10, "seed": 0}, "a": {"seed": 0, "stream": 3 + 2 * APART, "step": 5}}
    end = {"loader": {"step": 11, "seed": 0}, "a": {"seed": 0, "stream": 3 + 2 * APART, "step": 7}}
    assert _after(start, end, 2, 4) == {
        "loader": {"step": 12, "seed": 0},
        "a": {"seed": 0, "stream": 3, "step": 7},
    }
    assert _after(start, begun, 2, 4) == start


def test_what_a_generator_step_reads_is_the_batch_of_its_part():
    """A relativistic loss reads the reals again: each part those that it was fed."""
    t = trainer("lsgan", parts=2, loss="relativistic")
    seen = []
    loss = t.generator_loss
    t.generator_loss = lambda: seen.append(t.batch["real"].numpy().copy()) or loss()
    t.step()
    assert [np.array_equal(images, t.loader.batch(k)[0]) for k, images in enumerate(seen)] == [True, True]


def test_a_rank_that_fails_ends_all():
    """The others roll the step back, and raise the first's message."""

    def run(ranks):
        t = trainer("dcgan", parts=2)
        t.parts.share(ranks)
        t.step()
        before = {k: a.tobytes() for k, a in t.state()[0].items()}
        if ranks.rank == 1:
            t.generator_loss = lambda: 1 / 0
        try:
            with t.parts.together():
                t.step()
        except (RankFailure, ZeroDivisionError) as error:
            after = {k: a.tobytes() for k, a in t.state()[0].items()}
            return error, [k for k in before if before[k] != after[k]]

    (first, changed), (second, _) = Threads(2).run(run)
    assert isinstance(first, RankFailure) and str(first) == "rank 1 of 2: division by zero" and changed == []
    assert isinstance(second, ZeroDivisionError)


def test_a_signal_on_one_rank_stops_all():
    assert Threads(3).run(lambda r: Parts(3, r).stop(15 if r.rank == 2 else None)) == [15] * 3
    assert Threads(2).run(lambda r: Parts(2, r).stop(None)) == [None] * 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"parts": 3}, "a batch of 8 has no 3 equal parts"),
        ({"sync_norm": True}, "'sync_norm' means nothing here: parts is 1"),
        ({"system": "wgan-gp", "network": "mlp", "parts": 2, "sync_norm": True}, "no batch norm to synchronise"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, says):
    settings = {"capture": False, "base": 2, "batch_size": 8} | settings
    with pytest.raises(ValueError, match=says):
        options = options_for(settings.pop("system", "dcgan"), **settings)
        trainer_for(options, load(options.data, size=options.size))


def test_ranks_that_cannot_share_are_refused():
    refusals = Threads(3).run(lambda r: Parts(4).share(r))
    assert {str(e).split(";")[0] for e in refusals} == {"3 ranks cannot share 4 parts equally"}


@pytest.mark.parametrize("trick", ["simultaneous", "consensus=0.1", ""])
def test_each_player_has_the_length_of_its_own_gradient(trick):
    """Also where both step together: a G whose gradient vanishes is seen beside D's."""
    whole, parted = (trainer(trick=trick, parts=parts, critic_norm=False) for parts in (1, 2))
    one, two = whole.step(), parted.step()
    for name in ("d_weight_gradient", "g_weight_gradient"):
        assert two[name] == pytest.approx(one[name], rel=0.6), name  # batch norm is of each part
    assert one["d_weight_gradient"] > 3 * one["g_weight_gradient"]
