"""What a NumPy user does with a Tensor: NumPy's own answer, or a refusal that names the way out.

Each line is run on arrays and on tensors of the same numbers. On tensors that require no gradient the numbers must be
NumPy's. On tensors that require one, the answer is a Tensor with a graph, or holds no gradient to lose (a bool, a
shape), or is refused. Never an array of objects.
"""

import io
import math

import numpy as np
import pytest

import minigan as mg

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], np.float32)

# fmt: off
FUNCTIONS = r"""
np.exp(a)
np.tanh(a)
np.abs(a)
np.absolute(a)
np.square(a)
np.sign(a)
np.sqrt(np.abs(a))
np.log1p(np.abs(a))
np.maximum(a, 0)
np.minimum(a, 0.5)
np.add(a, 1)
np.subtract(1, a)
np.multiply(a, a)
np.divide(a, 2)
np.true_divide(1.0, a)
np.negative(a)
np.power(np.abs(a), 2)
np.float32(2) * a
a * np.float32(2)
np.float32(2) - a
np.float64(2) * a
np.int64(3) + a
b * a
b - a
b / a
b + a
b @ a.T
a @ b.T
np.matmul(b, a.T)
np.dot(a, b.T)
np.mean(a)
np.mean(a, axis=0)
np.sum(a)
np.sum(a, axis=1, keepdims=True)
np.std(a)
np.std(a, axis=0)
np.var(a, 1)
np.max(a)
np.amax(a, axis=0)
np.min(a, axis=1)
np.prod(a)
np.cumsum(a, axis=0)
np.linalg.norm(a)
np.linalg.norm(a, axis=1)
np.stack([a, a])
np.stack([a, a], axis=1)
np.concatenate([a, a])
np.concatenate([a, b], axis=1)
np.vstack([a, a])
np.where(a > 0, a, 0)
np.where(b > 0, a, b)
np.clip(a, -0.5, 0.5)
np.reshape(a, (3, 2))
np.transpose(a)
np.transpose(a, (1, 0))
np.squeeze(a[None])
np.expand_dims(a, 0)
np.ravel(a)
np.flip(a, 0)
np.moveaxis(a, 0, 1)
np.swapaxes(a, 0, 1)
np.broadcast_to(a, (2, 2, 3))
np.einsum("ij,kj->ik", a, b)
np.pad(a, 1)
np.split(a, 2)
np.median(a)
np.percentile(a, 30)
np.histogram(a, bins=3)
np.sort(a, axis=1)
np.unique(a)
np.diff(a)
np.outer(a[0], a[1])
np.tile(a, 2)
np.repeat(a, 2, axis=0)
np.repeat(a, 2)
np.hstack([a, b])
np.dstack([a, b])
np.cumprod(a, axis=1)
np.quantile(a, 0.3, axis=1)
np.quantile(a, [0.2, 0.9])
np.trace(a)
np.tan(a)
np.arctan(a)
np.sinh(a)
np.arctan2(a, b)
np.add.reduce(a)
np.cov(a)
np.zeros_like(a)
np.ones_like(a)
""".strip().split("\n")

LOOKS = r"""
np.allclose(a, b)
np.array_equal(a, b)
np.isclose(a, b)
np.isnan(a)
np.isfinite(a)
np.argmax(a)
np.argsort(a)
np.argmax(a, axis=1)
np.shape(a)
np.ndim(a)
np.size(a)
np.any(a > 0)
np.all(a > 0)
np.count_nonzero(a > 0)
np.iscomplexobj(a)
a > b
b < a
b == a
a == b
b != a
a[a > 0].shape
a[b > 0].shape
a[np.array([0, 1])].shape
a[np.int64(1)].shape
np.greater(a, 0)
np.logical_and(a > 0, a < 1)
np.testing.assert_allclose(a, b) if not grad else None
np.testing.assert_array_equal(a, b) if not grad else None
np.testing.assert_allclose(float(a[0, 0]), 0.5)
round(float(a[0, 0]), 3)
int(a[0, 2])
math.sqrt(a[0, 0])
len(a)
b[a[0, 2] > 1]
3.0 in a
""".strip().split("\n")

ARRAYS = r"""
np.asarray(a)
np.array(a)
np.array(a, np.float64)
np.asarray(a, dtype=np.float64)
np.array([a, a])
np.array([a[0, 0], a[1, 1]])
np.array(list(a))
np.asanyarray(a)
np.ascontiguousarray(a)
np.atleast_1d(a)
np.float32(a[0, 0])
float(a[0, 0])
[float(v) for v in a[0]]
a.tolist()
a.astype(np.float64)
a.copy()
list(np.ndenumerate(np.asarray(a)))
""".strip().split("\n")
# fmt: on


def plain(value):
    if isinstance(value, mg.Tensor):
        return np.asarray(value.detach())
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value


def no_objects(value):
    for v in value if isinstance(value, (tuple, list)) else [value]:
        assert not (isinstance(v, np.ndarray) and v.dtype == object), "an array of objects"


def same(ours, theirs, line):
    no_objects(ours)
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for o, t in zip(ours, theirs, strict=True):
            same(o, t, line)
        return
    np.testing.assert_allclose(
        np.asarray(plain(ours), np.float64), np.asarray(theirs, np.float64), rtol=2e-5, atol=1e-6
    )
    if isinstance(ours, (np.ndarray, np.generic, mg.Tensor)) and isinstance(theirs, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype.kind == theirs.dtype.kind


def run(line, a, grad=False):
    with np.errstate(all="ignore"):
        return eval(line, {"np": np, "math": math, "a": a, "b": A, "grad": grad})


@pytest.mark.parametrize("line", FUNCTIONS + LOOKS + [line for line in ARRAYS if "astype" not in line])
def test_without_a_gradient_the_numbers_are_numpys(line):
    if line == "a.copy()":
        pytest.skip("a Tensor has clone()")
    same(run(line, mg.tensor(A)), run(line, A), line)


@pytest.mark.parametrize("line", FUNCTIONS)
def test_with_a_gradient_it_is_kept_or_refused(line):
    a = mg.tensor(A, requires_grad=True)
    try:
        answer = run(line, a, True)
    except (TypeError, RuntimeError) as error:
        assert ".detach()" in str(error), error
        return
    no_objects(answer)
    parts = answer if isinstance(answer, (tuple, list)) else [answer]
    assert all(isinstance(part, mg.Tensor) for part in parts), type(answer)
    if "_like" not in line and "sign" not in line:
        assert all(part.requires_grad for part in parts)
        same(answer, run(line, A), line)


@pytest.mark.parametrize("line", LOOKS)
def test_what_has_no_gradient_to_lose_works_with_one(line):
    same(run(line, mg.tensor(A, requires_grad=True), True), run(line, A), line)


@pytest.mark.parametrize(
    "line",
    [
        line
        for line in ARRAYS
        if "float" not in line and "atleast" not in line and "tolist" not in line and "copy" not in line
    ],
)
def test_an_array_of_what_requires_a_gradient_is_refused(line):
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        run(line, mg.tensor(A, requires_grad=True))


@pytest.mark.parametrize(
    "line",
    [
        "np.sum(a, axis=())",
        "np.max(a, axis=())",
        "np.dot(a, a3)",
        "np.dot(a3, a)",
        "np.dot(2.0, a)",
        "np.mean(a, axis=(0, 1))",
        "np.mean(i)",
        "np.std(i, axis=0)",
        "np.linalg.norm(i)",
        "np.linalg.norm(a, 1)",
        "np.expand_dims(a, (0, 1))",
        "np.squeeze(a[None, None], (0, 1))",
        "np.reshape(a, (3, 2), order='F')",
        "np.sum(a, dtype=np.float64)",
        "np.mean(a, where=a > 0)",
        "np.sum(a > 0)",
        "np.concatenate([a, a], axis=None)",
        "np.add(a, a, where=a > 0, out=np.zeros((2, 3), np.float32))",
        "np.clip(a, None, 1)",
        "np.split(a, [1], axis=1)",
    ],
)
def test_arguments_that_mean_something_else_to_minigan(line):
    arrays = {"np": np, "a": A, "a3": np.stack([A.T] * 2), "i": np.array([[1, 2], [3, 5]])}
    tensors = {k: mg.tensor(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    same(eval(line, tensors), eval(line, arrays), line)
    tensors["a"] = mg.tensor(A, requires_grad=True)
    try:
        answer = eval(line, tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        assert "detach()" in str(error)
    else:
        same(answer, eval(line, arrays), line)


def test_in_place_on_an_array():
    a = A.copy()
    a -= mg.tensor(A)
    assert isinstance(a, np.ndarray) and not a.any()
    with pytest.raises((TypeError, RuntimeError), match="detach"):
        a -= mg.tensor(A, requires_grad=True)
    with pytest.raises((TypeError, RuntimeError), match="detach"):
        a[0] = mg.tensor(A[0], requires_grad=True)
    a[0] = mg.tensor(A[0])
    assert (a[0] == A[0]).all()
    t = mg.tensor(A)
    with pytest.raises(TypeError, match=r"assign|copy_"):
        np.add(A, A, out=t)
    with pytest.raises(TypeError):
        np.add.at(t, ([0], [0]), 1.0)
    for change in (lambda: np.fill_diagonal(t, 0), lambda: np.copyto(t, 0), lambda: np.put(t, 0, 9)):
        with pytest.raises(ValueError, match="read-only"):
            change()
    assert (t.numpy() == A).all()


def test_files_and_plots(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    t = mg.tensor(A)
    np.save(tmp_path / "a.npy", t)
    np.savez(tmp_path / "a.npz", t=t)
    assert (np.load(tmp_path / "a.npy") == A).all() and (np.load(tmp_path / "a.npz")["t"] == A).all()
    np.savetxt(io.StringIO(), t)
    _, axes = plt.subplots()
    (line,) = axes.plot(t[0])
    assert (np.asarray(line.get_ydata()) == A[0]).all()
    axes.plot(t[0], t[1])
    axes.hist(t.flatten())
    axes.imshow(t)
    axes.scatter(t[0], t[1])
    plt.close("all")


def test_nothing_of_numpys_reads_a_tensor_in_a_captured_step():
    t = mg.tensor(A)
    for line in ("np.median(a)", "np.asarray(a)", "np.cbrt(a)", "np.allclose(a, 0)"):
        with pytest.raises(mg.CaptureError, match="a value is read"):
            mg.capture(lambda line=line: run(line, t * 2))()
    step = mg.capture(lambda: np.exp(t).sum() + np.mean(t) * np.float32(2))
    for _ in range(3):
        assert step().item() == pytest.approx(np.exp(A).sum() + 2 * A.mean(), rel=1e-5)
