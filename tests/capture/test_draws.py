"""A record draws what the eager step draws, call by call, or refuses: whatever sets a random generator inside the step
would do so at each call, and at no replay."""

import copy
import functools
import pickle

import pytest
from source_mutants import SourceMutant, applied

import minigan as mg
from minigan import functional as F
from minigan.capture import CaptureError, capture


def seeds(g, place):
    g.manual_seed(5)
    return mg.rand(3, generator=g)


def seeds_after_a_draw(g, place):
    x = mg.rand(3, generator=g)
    g.manual_seed(5)
    return x + mg.rand(3, generator=g)


def seeds_at_the_end(g, place):
    x = mg.rand(3, generator=g)
    g.manual_seed(5)
    return x


def seeds_the_default_one(g, place):
    mg.manual_seed(5)
    return F.dropout(mg.ones(8), 0.5)


def goes_back(g, place):
    before = g.state_dict()
    x = mg.rand(3, generator=g)
    g.load_state_dict(before)
    return x


def makes(g, place):
    return mg.randn(3, generator=mg.Generator(5))


def copies(g, place):
    return mg.randn(3, generator=copy.deepcopy(g))


def copies_flatly(g, place):
    return mg.randn(3, generator=copy.copy(g))


def unpickles(g, place):
    return mg.randn(3, generator=pickle.loads(place["pickled"]))


def counts_itself(g, place):
    g.step = 7
    return mg.randn(3, generator=g)


def counts_between(g, place):
    x = mg.randn(3, generator=g)
    g.step += 1
    return x + mg.randn(3, generator=g)


def counts_afterwards(g, place):
    x = mg.randn(3, generator=g)
    g.step += 1
    return x


def draws_a_number(g, place):
    return mg.ones(3) * float(g.uniform((1,))[0])


def draws_an_order(g, place):
    return mg.ones(3)[int(g.permutation(3)[0])]


def moves_the_default_one(g, place):
    mg.backend.default_generator.step = 3
    return mg.rand(3)


MOVING = [
    seeds, seeds_after_a_draw, seeds_at_the_end, seeds_the_default_one, goes_back, makes, copies, copies_flatly,
    unpickles, counts_itself, counts_between, counts_afterwards, draws_a_number, draws_an_order, moves_the_default_one,
]  # fmt: skip


def _step(move):
    g = mg.Generator(3)
    place = {"pickled": pickle.dumps(g)}
    return g, capture(lambda: move(g, place))


@pytest.mark.parametrize("move", MOVING, ids=lambda move: move.__name__)
def test_what_moves_a_generator_is_refused(move):
    g, step = _step(move)
    before = g.state_dict(), mg.backend.default_generator.state_dict()
    for _ in range(2):
        with pytest.raises(CaptureError, match="random generator is made, seeded, copied or moved"):
            step()
        assert before == (g.state_dict(), mg.backend.default_generator.state_dict())


def one(g, place):
    return mg.rand(3, generator=g)


def several_kinds(g, place):
    return mg.rand(3, generator=g) + mg.randn(3, generator=g) * F.dropout(mg.ones(3), 0.5, generator=g)


def of_two(g, place):
    return mg.rand(3, generator=g) + F.dropout(mg.ones(3), 0.5)


RIGHT = [one, several_kinds, of_two]


@pytest.mark.parametrize("draw", RIGHT, ids=lambda draw: draw.__name__)
def test_draws_go_on_as_eager_ones(draw):
    g, step = _step(draw)
    mg.manual_seed(9)
    got = [step().tolist() for _ in range(4)]
    ends = g.state_dict(), mg.backend.default_generator.state_dict()
    same = mg.Generator(3)
    mg.manual_seed(9)
    assert got == [draw(same, {}).tolist() for _ in range(4)]
    assert ends == (same.state_dict(), mg.backend.default_generator.state_dict())


@functools.cache
def _stream():
    return mg.Generator(3)


def test_a_generator_may_be_named_after_it_was_drawn_from():
    """Of what a cache gives no code says that it is read."""
    _stream().manual_seed(3)
    step = capture(lambda: mg.rand(3, generator=_stream()) + one(_stream(), {}))
    got = [step().tolist() for _ in range(3)]
    _stream().manual_seed(3)
    assert got == [(mg.rand(3, generator=_stream()) + one(_stream(), {})).tolist() for _ in range(3)]


def test_a_seed_between_two_calls_counts():
    g, step = _step(one)
    step()
    g.manual_seed(5)
    assert step().tolist() == mg.rand(3, generator=mg.Generator(5)).tolist()


def test_a_copy_draws_on_from_the_same_place():
    g = mg.Generator(3, stream=4)
    mg.rand(5, generator=g)
    for twin in (copy.copy(g), copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert twin.state_dict() == g.state_dict() and twin is not g
        assert mg.rand(3, generator=twin).tolist() == mg.rand(3, generator=copy.copy(g)).tolist()
        assert twin.state_dict() != g.state_dict()


PUT_BACK = "stream.load_state_dict(self._before(stream, first, turn))"
# fmt: off
MUTANTS = [
    ("reach:Reach.__call__", "code in MOVES", "False", "a generator may be made", makes),
    ("reach:Reach.visit", "self.draws.note(value, path)", "pass", "a named generator is not noted", counts_itself),
    ("draws:Drawn.before", "now != left", "False", "between two draws it may move", counts_between),
    ("draws:Draws.check", "first != self._before(stream, first, turn) or ", "", "before the first draw", counts_itself),
    ("draws:Draws.check", " or stream.state_dict() != left", "", "after the last draw it may move", counts_afterwards),
    ("draws:Draws.go_back", PUT_BACK, "pass", "after an error it stays", counts_itself),
    ("draws:Draws._before", "before if noted < turn else first", "before", "noted after a draw", None),
    ("draws:Draws.__init__", 'self.note(default_generator, "")', "pass", "not the default one", moves_the_default_one),
]
# fmt: on


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[3])
def test_the_cases_notice(mutant):
    where, *texts, name, step = mutant
    with (
        applied(SourceMutant(f"minigan.capture.{where}", *texts, name, "")),
        pytest.raises((pytest.fail.Exception, AssertionError, CaptureError)),
    ):
        if step is None:
            test_a_generator_may_be_named_after_it_was_drawn_from()
        else:
            test_what_moves_a_generator_is_refused(step)
