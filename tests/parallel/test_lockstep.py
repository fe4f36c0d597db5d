"""What looks across a batch whose parts are computed apart: batch norm over all parts, what a system keeps from step to
step, and a process that has several parts."""

import numpy as np
import pytest
from thread_ranks import Threads

import minigan as mg
from minigan import nn
from minigan.data import load
from minigan.gan.lockstep import Seat, Turns
from minigan.gan.parts import RankFailure, in_order
from minigan.gan.systems import SYSTEMS, options_for, trainer_for
from minigan.gan.train import TrainingError
from minigan.ops.across import Group


def by_parts(function, count):
    """function(group, number) of each part, in turn."""
    turns, results = Turns(count), [None] * count

    def one(number):
        group = Group(count, lambda vector: turns.meet(number, vector, in_order))
        results[number] = function(group, number)

    turns.run([lambda k=k: one(k) for k in range(count)])
    return results


def critic(group=None, affine=True):
    random = mg.Generator(3)
    norm = nn.BatchNorm2d(3, affine=affine).double()
    norm.group = group
    w = mg.randn(3, 2, 3, 3, generator=random, dtype=mg.float64)
    v = mg.randn(3, 4, generator=random, dtype=mg.float64)
    params = [t.requires_grad_() for t in (w, v)]
    if affine:
        norm.weight.assign(1 + mg.randn(3, generator=random, dtype=mg.float64) / 4)
        params += [norm.weight, norm.bias]

    def of(x):
        h = mg.tanh(norm(mg.functional.conv2d(x, w, padding=1)))
        return (h.mean((2, 3)) @ v).square().sum(1)

    return of, params, norm


def penalised(of, x):
    """WGAN-GP's objective: the gradient's norm at each image, of a sum over the batch, differentiated once more."""
    (slope,) = mg.grad(of(x).sum(), x, create_graph=True)
    return mg.mean(of(x)) + 10 * mg.mean(mg.square(mg.sqrt(mg.square(slope).sum((1, 2, 3)) + 1e-6) - 1))


IMAGES = np.random.default_rng(1).standard_normal((8, 2, 4, 4))


@pytest.mark.parametrize("objective", [lambda of, x: mg.mean(of(x)), penalised], ids=["first", "second"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("count", [2, 4])
def test_batch_norm_across_parts_is_that_of_the_whole_batch(objective, affine, count):
    """Gradients by weights and images, first derivative and second, and running statistics, to 1e-10: float64, and
    another order of sums only."""

    def gradients(of, params, norm, x):
        x = mg.Tensor(x).requires_grad_()
        slopes = mg.grad(objective(of, x), [*params, x])
        return [g.numpy() for g in slopes], norm.running_mean.numpy(), norm.running_var.numpy()

    slopes, mean, variance = gradients(*critic(affine=affine), IMAGES)
    each = len(IMAGES) // count

    def part(group, number):
        return gradients(*critic(group, affine), IMAGES[number * each :][:each])

    results = by_parts(part, count)
    for k, expected in enumerate(slopes[:-1]):
        total = sum(own[k] for own, _, _ in results) / count
        np.testing.assert_allclose(total, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    images = np.concatenate([own[-1] for own, _, _ in results]) / count
    np.testing.assert_allclose(images, slopes[-1], rtol=1e-9, atol=1e-10 * np.abs(slopes[-1]).max())
    for _, own_mean, own_variance in results:
        np.testing.assert_allclose(own_mean, mean, rtol=1e-12)
        np.testing.assert_allclose(own_variance, variance, rtol=1e-12)


def test_one_value_per_channel_in_each_part_is_enough():
    """Two parts of one vector each have statistics together, and none alone."""

    def norm(group, number):
        layer = nn.BatchNorm1d(2)
        layer.group = group
        return layer(mg.ones(1, 2) * number).detach().numpy()

    low, high = by_parts(norm, 2)
    assert np.allclose(low, -1, atol=1e-3) and np.allclose(high, 1, atol=1e-3)
    with pytest.raises(ValueError, match="more than one value per channel"):
        norm(Group(1, lambda vector: vector), 0)


VECTORS = list(np.random.default_rng(0).standard_normal((4, 50)) * 10.0 ** np.arange(50))


@pytest.mark.parametrize("way", ["ordered_sum", "total"])
def test_parts_in_turn_on_several_ranks_are_added_in_one_order(way):
    """Two processes with two parts each: the bits of one process, on every part."""

    def run(ranks):
        turns, sums = Turns(2), [None, None]
        seats = [Seat(turns, k, ranks) for k in range(2)]

        def one(k):
            sums[k] = getattr(seats[k], way)([VECTORS[seats[k].rank]])

        turns.run([lambda k=k: one(k) for k in range(2)])
        return sums

    for total in [total for sums in Threads(2).run(run) for total in sums]:
        assert total.tobytes() == in_order(VECTORS).tobytes()


SMALL = {"base": 1, "batch_size": 4, "latent": 4, "capture": False, "parts": 4, "n_critic": 2}
OWN = {
    "cyclegan": {"pool": 6},
    "stylegan": {"lazy": 2, "path_weight": 1.0},
    "text2image": {"batch_size": 8},
    "infogan": {"batch_size": 8},
    "ebgan": {"batch_size": 8},
}
"""What a system needs besides, to be small and to show all that it keeps."""


def small(system, **changes):
    takes = SYSTEMS[system].takes
    options = options_for(system, **{k: v for k, v in (SMALL | OWN.get(system, {})).items() if k in takes} | changes)
    return trainer_for(options, load(options.data, size=options.size))


def bytes_of(t):
    arrays, rest = t.state()
    return {k: a.tobytes() for k, a in arrays.items()} | {"counters": rest["counters"]}


def after(steps, system, ranks=None, **changes):
    """All arrays and counters after some steps of the smallest run in four parts."""
    t = small(system, **changes)
    if ranks is not None:
        t.parts.share(ranks)
    for _ in range(steps):
        t.step()
    return bytes_of(t)


CASES = [
    ("cyclegan", {}),
    ("srgan", {}),
    ("stylegan", {}),
    ("dcgan", {"sync_norm": True, "capture": True}),
    ("acgan", {"sync_norm": True}),
    ("lsgan", {"trick": "optimistic"}),
]


@pytest.mark.parametrize(("system", "changes"), CASES)
def test_two_ranks_have_the_bits_of_one_process(system, changes):
    """Three steps of four parts, by one process and by two: weights, moments, pools, last gradients, counters."""
    alone = after(3, system, **changes)
    for shared in Threads(2).run(lambda ranks: after(3, system, ranks, **changes)):
        assert not isinstance(shared, Exception), shared
        assert [k for k in alone if alone[k] != shared[k]] == []


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_two_ranks_have_the_bits_of_one_process_in_every_system(system):
    test_two_ranks_have_the_bits_of_one_process(system, {})


def test_the_past_of_optimistic_steps_is_the_whole_batch_s():
    """After a step the memory holds the mean gradient of the parts, and the next step is along 2 g - past."""
    t = small("lsgan", trick="optimistic", n_critic=1)
    t.step()
    params = list(t.critic.parameters())
    past = [t.memory[f"critic.{k}"].numpy().copy() for k in range(len(params))]
    assert all(np.array_equal(p.grad.numpy(), was) for p, was in zip(params, past, strict=True))
    t.parts.gradients(t, t.half_steps()[0])
    for k, (p, was) in enumerate(zip(params, past, strict=True)):
        now = t.memory[f"critic.{k}"].numpy()
        np.testing.assert_allclose(p.grad.numpy(), 2 * now - was, rtol=1e-5, atol=1e-7)


def test_places_in_a_pool_are_each_taken_by_one_part():
    """While it fills and afterwards; and what is in it then are translations of the parts' own images."""
    t = small("cyclegan", pool=6)
    start = t.counters()
    for step in range(3):
        t._state.set_counters(start)
        t.loader.load_state_dict({k: {**v, "step": 4 * step} for k, v in t.loader.state_dict().items()})
        begun, places = t.counters(), []
        for part in t.parts.own:
            t.parts._feed(t, t.half_steps()[0], begun, part)
            places += t.batch["place_a"].numpy().tolist()
        assert len(set(places)) == 4 and (step or sorted(places) == [0, 1, 2, 3])


def test_a_pool_holds_what_the_parts_put_into_it():
    """While it fills, every part's translations as the critic was shown them."""
    t, shown = small("cyclegan", pool=4, n_critic=1), []
    pooled = t.pooled
    t.pooled = lambda k, fake: shown.append(fake.numpy().copy()) or pooled(k, fake)
    t.step()
    np.testing.assert_allclose(t.memory["pool_a"].numpy(), np.concatenate(shown[::2]), atol=1e-6)


@pytest.mark.parametrize("number", [0, 2])
def test_a_part_that_fails_ends_the_step_of_all(number):
    """The error is the part's own; everything is as before the step, and the run can go on."""
    t = small("dcgan", sync_norm=True)
    t.step()
    before = bytes_of(t)
    failing = [t, *t.lockstep.others][number]
    loss, failing.generator_loss = failing.generator_loss, lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        t.step()
    failing.generator_loss = loss
    t.restore(*_state(before, t))
    assert bytes_of(t) == before and t.step()


def _state(before, t):
    arrays, rest = t.state()
    whole = {k: np.frombuffer(before[k], a.dtype).reshape(a.shape).copy() for k, a in arrays.items()}
    return whole, rest | {"counters": before["counters"]}


def test_the_op_that_leaves_the_finite_numbers_is_named_with_synchronised_norms():
    """By every rank and every part, though only one part's weights are at fault: none waits for another then."""

    def run(ranks):
        t = small("dcgan", sync_norm=True)
        t.parts.share(ranks)
        t.step()
        if ranks.rank == 1:
            t.lockstep.others[0].generator.main[0].weight.data[:] = np.inf
        with t.parts.together():
            t.step()

    errors = Threads(2).run(run)
    assert all(isinstance(e, TrainingError) and "conv_transpose2d" in str(e) for e in errors), errors


def test_a_rank_that_fails_while_others_wait_for_its_statistics():
    def run(ranks):
        t = small("dcgan", sync_norm=True)
        t.parts.share(ranks)
        t.step()
        if ranks.rank == 1:
            t.lockstep.others[0].generator_loss = lambda: 1 / 0
        with t.parts.together():
            t.step()

    first, second = Threads(2).run(run)
    assert isinstance(first, RankFailure) and str(first) == "rank 1 of 2: division by zero"
    assert isinstance(second, ZeroDivisionError)
