"""The tape: orders of derivative, what is left out, costs, and that a step computes what it computes without."""

import subprocess
import sys

import numpy as np
import pytest
from worlds import trainer

import minigan as mg
from minigan import nn
from minigan.profiler import Tape, cost, debug
from minigan.profiler.tape import Full


def orders(tape, op):
    return [row.order for row in tape.rows if row.op == op]


def test_each_derivative_is_one_order_deeper():
    """tanh is order 0, its slope 1, what the slope's own slope needs 2; what is computed of a slope has its order."""
    x = mg.tensor([0.3, -0.2], dtype="float64", requires_grad=True)
    with Tape() as tape:
        (g,) = mg.grad(mg.tanh(x).sum(), x, create_graph=True)
        (h,) = mg.grad((g * g).sum(), x, create_graph=True)
        mg.grad(h.sum(), x)
    assert orders(tape, "tanh") == [0]
    assert orders(tape, "tanh_grad")[0] == 1
    squared = next(row for row in tape.rows if row.op == "mul" and row.of is None)
    assert squared.order == 1
    assert max(row.order for row in tape.rows) == 3
    for row in tape.rows:
        if row.of is not None:
            assert row.order >= tape.rows[row.of].order + 1


def test_a_row_says_what_was_not_wanted():
    """A frozen weight's gradient is left out, and the row of the input's gradient says so."""
    layer = nn.Linear(3, 2, bias=False).requires_grad_(False)
    x = mg.ones(4, 3).requires_grad_()
    with Tape() as tape:
        mg.grad(layer(x).sum(), x)
    product = next(row for row in tape.rows if row.op == "matmul" and row.order == 1)
    assert product.left_out == (1,)
    assert tape.rows[product.of].op == "matmul"
    assert product.layer == tape.rows[product.of].layer == "Linear"


def test_layers_and_weights_have_their_names():
    network = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 1)))
    with Tape() as tape:
        network(mg.ones(5, 2))
        network[0](mg.ones(5, 2))
    assert {row.layer for row in tape.rows} == {"Sequential.0", "Sequential.1.0", "Sequential.1.1"}
    assert sorted(tape.names.values()) == [f"Sequential.{k}.{n}" for k in ("0", "1.1") for n in ("bias", "weight")]


def test_two_networks_of_one_class_are_told_apart():
    with Tape() as tape:
        for _ in range(2):
            nn.Linear(2, 2)(mg.ones(1, 2))
    assert {row.layer for row in tape.rows if row.op == "matmul"} == {"Linear", "Linear#2"}


@pytest.mark.parametrize("system", ["wgan-gp", "dcgan"])
def test_a_step_on_the_tape_is_the_same_step(system):
    """All weights after a step of both players are bit-equal, and so are the random numbers that come next."""
    plain, taped = (trainer(system) for _ in range(2))
    plain.step()
    with Tape() as tape:
        taped.step()
    for a, b in ((plain.generator, taped.generator), (plain.critic, taped.critic)):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            np.testing.assert_array_equal(p.data, q.data)
    assert plain.random["latent_d"].state_dict() == taped.random["latent_d"].state_dict()
    assert any(row.in_place for row in tape.rows)
    assert max(row.order for row in tape.rows) == (2 if system == "wgan-gp" else 1)
    assert all(row.source.startswith("minigan/gan/") or "test_tape" in row.source for row in tape.rows)


def test_a_captured_function_runs_eagerly_on_a_tape():
    x = mg.ones(3)
    step = mg.capture(lambda: (x * 2).sum())
    step()
    with Tape() as tape:
        assert step().item() == 6
    assert [row.op for row in tape.rows] == ["mul", "sum"]


def test_flops_by_hand():
    """A convolution's, a product's and a sum's."""
    x, w = mg.ones(2, 3, 8, 8), mg.ones(4, 3, 3, 3)
    with Tape() as tape:
        mg.functional.conv2d(x, w, padding=1)
        mg.ones(5, 6) @ mg.ones(6, 7)
        x.sum()
    flops = {row.op: row.flops for row in tape.rows}
    assert flops["conv2d"] == 2 * (2 * 4 * 8 * 8) * (3 * 3 * 3)
    assert flops["matmul"] == 2 * 5 * 6 * 7
    assert flops["sum"] == 2 * 3 * 8 * 8
    assert next(r.nbytes for r in tape.rows if r.op == "matmul") == 4 * (5 * 6 + 6 * 7 + 5 * 7)


def test_one_array_that_is_read_twice_is_moved_once():
    """And what only moves numbers counts one operation for each that it writes."""
    x = mg.ones(2, 3, 8, 8)
    with Tape() as tape:
        x * x
        mg.functional.unfold(x, 3)
    product = next(row for row in tape.rows if row.op == "mul")
    assert product.nbytes == 4 * 2 * x.data.size
    columns = max(tape.rows, key=lambda row: row.flops)
    assert columns.flops == 2 * 27 * 36


def test_a_roof_is_the_higher_of_two():
    roof = cost.Roofline(peak=100.0, bandwidth=10.0)
    assert roof.share(200, 10, 4.0) == 0.5
    assert roof.share(10, 20, 4.0) == 0.5


def test_ranges_and_what_is_not_finite():
    with Tape() as tape, np.errstate(divide="ignore"):
        mg.log(mg.tensor([0.0, 1.0]))
        mg.tensor([1.0, -3.0]).abs()
    assert not tape.rows[0].finite and (tape.rows[0].low, tape.rows[0].high) == (-np.inf, 0)
    assert tape.rows[1].finite and (tape.rows[1].low, tape.rows[1].high) == (1, 3)
    assert tape.rows[0].as_dict()["low"] is None


def test_a_tape_has_an_end():
    x = mg.ones(2)
    with pytest.raises(Full, match="more than 3 ops"), Tape(limit=3):
        while True:
            x = x + 1


def test_a_tape_that_keeps_nothing_forgets(monkeypatch):
    from minigan.profiler import tape as module

    monkeypatch.setattr(module, "MEMORY", 20)
    with Tape(keep=False) as tape:
        x = mg.ones(2).requires_grad_()
        for _ in range(100):
            y = x * 2
        assert len(tape._values) <= 22 and not tape.rows
        mg.grad(y.sum(), x)


def test_debug_prints_as_much_as_its_level_says(capsys):
    lengths = []
    for level in (1, 2, 3, 4):
        with debug(level):
            mg.tensor([1.0, 2.5]) * 2
        lines = capsys.readouterr().err.splitlines()
        assert "mul" in lines[0] and "2" in lines[0]
        lengths.append(len("".join(lines)))
    assert lengths == sorted(lengths) and len(set(lengths)) == 4
    assert "2 5" in lines[-1]
    with pytest.raises(ValueError, match="level 5 is none of 1, 2, 3, 4"), debug(5):
        pass


@pytest.mark.parametrize(
    ("level", "said"), [("2", "1 to 1"), ("loud", "MINIGAN_DEBUG is 'loud'; it can be 1, 2, 3, 4")]
)
def test_the_environment_switches_it_on(level, said):
    code = "import minigan as mg; mg.tensor([1.0]) * mg.tensor([1.0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**__import__("os").environ, "MINIGAN_DEBUG": level},
        capture_output=True,
        text=True,
    )
    assert said in done.stderr


def test_what_is_broadcast_is_in_memory_once():
    x, s = mg.ones(256, 256), mg.ones(1)
    with Tape() as tape:
        x * s
        x * s.broadcast_to((256, 256))
    first, *_, last = (row.nbytes for row in tape.rows if row.op == "mul")
    assert first == last == 2 * 4 * 256 * 256 + 4
