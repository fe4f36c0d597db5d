"""Changes in place inside a captured step: what the step returns, and the tensors it changes, are those of the eager
step, at the first call and at every replay."""

from pathlib import Path

import numpy as np
import pytest

import minigan as mg

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], np.float32)
NAMES = ("x", "y", "w", "i", "t")


def state():
    """x, w: leaves that require a gradient; y, t: tensors that do not; i: an index."""
    return {
        "x": mg.tensor(A, requires_grad=True),
        "y": mg.tensor(A * 0.5),
        "w": mg.tensor(A.T.copy(), requires_grad=True),
        "i": mg.tensor(np.array([1, 0])),
        "t": mg.tensor(0.0),
    }


def step_of(line, tensors):
    """The line as a function of no arguments that closes over the tensors; `upd(p, g)` is p -= 0.1 g under no_grad."""

    def upd(p, g):
        with mg.no_grad():
            p -= 0.1 * g

    body = "\n    ".join(part.strip() for part in line.split(";"))
    names = ", ".join(tensors)
    env = {"mg": mg, "upd": upd}
    exec(f"def outer({names}):\n  def step():\n    nonlocal {names}\n    {body}\n  return step", env)
    return env["outer"](*tensors.values())


def run(line, captured, calls=3):
    mg.manual_seed(0)
    tensors = state()
    step = step_of(line, tensors)
    step = mg.capture(step) if captured else step
    rows = []
    for _ in range(calls):
        out = step()
        out = out if isinstance(out, tuple) else (out,)
        rows.append([t.detach().numpy().copy() for t in (*out, *tensors.values())])
    return rows


LINES = (Path(__file__).parent / "inplace_lines.txt").read_text().strip().split("\n")


@pytest.mark.parametrize("line", LINES)
def test_a_captured_step_changes_what_the_eager_step_changes(line):
    for eager, captured in zip(run(line, False), run(line, True), strict=True):
        for a, b in zip(eager, captured, strict=True):
            assert np.isfinite(a).all() and a.dtype == b.dtype
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_what_the_eager_step_refuses_the_captured_step_refuses():
    x, y = mg.tensor(A, requires_grad=True), mg.tensor(A)

    def stale():
        z = x * y
        y.zero_()
        return mg.grad(z.sum(), x)

    for step in (stale, mg.capture(stale)):
        with pytest.raises(RuntimeError, match=r"mul: input 1 of shape .* was changed in place"):
            step()
    for line in ("x += 1", "x[0] = 0", "y[0] = x[0]", "(x * 2).mul_(3)"):

        def change(line=line):
            exec(line, {"x": x, "y": y})
            return y

        with pytest.raises(RuntimeError, match="not recorded"):
            mg.capture(change)()


def test_arrays_do_not_enter_by_assignment():
    y, array = mg.tensor(A), A.copy()

    def entry():
        y[...] = array
        return y * 1

    def replaced():
        y.data = array
        return y * 1

    def read():
        y.data -= 0.1
        return y * 1

    for step in (entry, replaced, read):
        with pytest.raises(mg.CaptureError):
            mg.capture(step)()
    assert (y.numpy() == A).all()
