"""The properties themselves, each a function of a row of the op table and one call: it returns quietly or raises.

The test files apply them to every row; test_mutants.py applies the same functions to broken ops, which they must
reject. Relative tolerances: float64 results that differ by the order of summation only agree to 1e-10 of the largest
element (sums here have fewer than 1,000 terms, 1e-13 of rounding); float32 results to the row's own tolerance.
"""

import gc
import weakref
from contextlib import contextmanager
from itertools import combinations

import numpy as np
import pytorch

import minigan as mg
from minigan.autograd import Op, Tensor
from minigan.backend import FLOATS, default_device, device_modules, float32, float64, host, namespace, to_device
from minigan.testing import gradcheck
from minigan.testing.opcase import OpCase, Sample
from minigan.testing.strategies import LAYOUTS

EXACT = 1e-10


class PropertyError(AssertionError):
    """A property does not hold."""


def require(holds: bool, message: str) -> None:
    if not holds:
        raise PropertyError(message)


def outputs(value) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def require_close(what: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float = EXACT) -> None:
    """Equal shapes, equal non-finite elements, and |a - b| <= tolerance * max(1, |b|); arrays of any device."""
    ours, theirs = (host(x) if type(x) in device_modules else np.asarray(x) for x in (ours, theirs))
    require(ours.shape == theirs.shape, f"{what}: shape {ours.shape}, expected {theirs.shape}")
    gradcheck.compare(what, 0, 0, ours, theirs, tolerance, tolerance, "expected is")


def placed(x: np.ndarray):
    """x on the default device, in the memory layout it has: axes in its order, steps, reversals, strides of zero."""
    if (where := default_device()) == "cpu":
        return x
    flips = tuple(slice(None, None, -1) if stride < 0 else slice(None) for stride in x.strides)
    single = tuple(
        slice(0, 1) if stride == 0 and size > 1 else slice(None)
        for stride, size in zip(x.strides, x.shape, strict=True)
    )
    core = x[flips][single]
    order = sorted(range(core.ndim), key=lambda axis: -core.strides[axis])
    lines = core.transpose(order)
    there = to_device(np.ascontiguousarray(lines).reshape(lines.shape), where)
    if not lines.flags.c_contiguous:
        wide = namespace(there).zeros(tuple(2 * size + 1 for size in lines.shape), x.dtype)
        inner = wide[(slice(1, None, 2),) * x.ndim]
        inner[...] = there
        there = inner
    there = there.transpose(np.argsort(order).tolist()) if x.ndim else there
    return namespace(there).broadcast_to(there, x.shape)[flips]


def value(case: OpCase, sample: Sample) -> np.ndarray:
    """The first output of one call."""
    return host(outputs(case.bound(sample)(*case.tensors(sample)))[0].data)


def gradients(case: OpCase, sample: Sample, tensors, seed: int = 1, by=None, layout=None) -> list:
    """The gradients of one call under a random cotangent, None for zero."""
    ys = [y for y in outputs(case.bound(sample)(*tensors)) if y.requires_grad]
    if not ys or not tensors:
        return [None] * len(tensors if by is None else by)
    seeds = [gradcheck.cotangent(seed, 1, i, y.shape).astype(y.dtype) for i, y in enumerate(ys)]
    seeds = [Tensor(placed(g if layout is None else layout(g))) for g in seeds]
    return list(mg.grad(ys, tensors if by is None else by, seeds))


@contextmanager
def references():
    """Every op that has a reference runs it in place of its kernel, so its derivatives are those of the composite
    too."""
    kernel_call = Op.__call__

    def call(self, *inputs):
        if type(self).reference is Op.reference:
            return kernel_call(self, *inputs)
        tensors = [mg.as_tensor(x) for x in inputs]
        self.forward(*[x.data for x in tensors])  # some ops leave by-products, such as statistics
        return self.reference(*tensors)

    Op.__call__ = call
    try:
        yield
    finally:
        Op.__call__ = kernel_call


# 1 Values


def values(case: OpCase, sample: Sample) -> None:
    """The op equals PyTorch, its reference, and its ops' references, in value, shape and dtype."""
    for dtype in case.dtypes:
        tolerance = EXACT if dtype == float64 else case.tolerance
        tensors = case.tensors(sample, dtype)
        ours = outputs(case.bound(sample)(*tensors))
        if case.torch_fn is not None and pytorch.compared():
            theirs = gradcheck.torch_derivatives(case.bound_torch(sample), [host(t.data) for t in tensors], [], 0)
            require(len(ours) == len(theirs), f"{case}({sample}): {len(ours)} outputs, PyTorch has {len(theirs)}")
            for a, b in zip(ours, theirs, strict=True):
                b = b.numpy()
                require(a.dtype == b.dtype, f"{case}({sample}): dtype {a.dtype}, PyTorch has {b.dtype}")
                require_close(f"{case}({sample}) {dtype} against PyTorch", a.data, b, tolerance)
        with references():
            composed = outputs(case.bound(sample)(*tensors))
        for a, b in zip(ours, composed, strict=True):
            require(a.dtype == b.dtype, f"{case}({sample}): dtype {a.dtype}, its ops' references make {b.dtype}")
            require_close(f"{case}({sample}) {dtype} against its ops' references", a.data, b.data, tolerance)


def reference_values(case: OpCase, sample: Sample) -> None:
    """The op equals the composite that the row names; not where that overflows, so not at extreme values."""
    if case.reference is None:
        return
    tensors = case.tensors(sample)
    for a, b in zip(
        outputs(case.bound(sample)(*tensors)), outputs(case.bound(sample, case.reference)(*tensors)), strict=True
    ):
        require_close(f"{case}({sample}) against its reference", a.data, b.data)


# 2, 3 Derivatives


def gradient(case: OpCase, sample: Sample) -> None:
    """Order 1 against finite differences."""
    if case.max_order >= 1:
        gradcheck.gradcheck(case.bound(sample), case.tensors(sample), name=f"{case}({sample})")


def higher_orders(case: OpCase, sample: Sample) -> None:
    """Orders 2 and 3 against finite differences."""
    for order in range(2, case.max_order + 1):
        gradcheck.check_order(case.bound(sample), case.tensors(sample), order, name=f"{case}({sample})")


def torch_orders(case: OpCase, sample: Sample) -> None:
    """Orders 1 and 2 against PyTorch."""
    if case.torch_fn is not None and case.torch_order >= 1 and pytorch.compared():
        gradcheck.compare_with_torch(
            case.bound(sample),
            case.bound_torch(sample),
            case.tensors(sample),
            case.torch_order,
            name=f"{case}({sample})",
        )


def reference_orders(case: OpCase, sample: Sample) -> None:
    """Orders 1 to 3 against the derivatives of the references."""
    for order in range(1, case.max_order + 1):
        ours = gradcheck.derivatives(case.bound(sample), case.tensors(sample), order)
        expected = []
        if case.reference is not None:
            expected.append(gradcheck.derivatives(case.bound(sample, case.reference), case.tensors(sample), order))
        with references():
            expected.append(gradcheck.derivatives(case.bound(sample), case.tensors(sample), order))
        for theirs in expected:
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                if a is None and b is None:
                    continue
                a, b = (np.zeros_like(b) if a is None else a), (np.zeros_like(a) if b is None else b)
                require_close(f"{case}({sample}) order {order}, input {i}, against a reference", a, b, 1e-8)


def kink(case: OpCase, sample: Sample) -> None:
    """Where the derivative jumps it is PyTorch's, and the second one is finite."""
    values(case, sample)
    if case.torch_order and pytorch.compared():
        fn, torch_fn = case.bound(sample), case.bound_torch(sample)
        gradcheck.compare_with_torch(fn, torch_fn, case.tensors(sample), 1, name=f"{case}({sample})")
    for order in (1, 2) if case.max_order else ():
        for g in gradcheck.derivatives(case.bound(sample), case.tensors(sample), order):
            require(g is None or bool(np.isfinite(g).all()), f"{case}({sample}): order {order} is not finite")


# 4 Need


def need(case: OpCase, sample: Sample) -> None:
    """Every subset of inputs gets the gradients of the full set, and asking for fewer never computes another."""
    tensors = case.tensors(sample)
    full = gradients(case, sample, tensors)
    for size in range(1, len(tensors)):
        for subset in combinations(range(len(tensors)), size):
            some = [t if i in subset else t.detach() for i, t in enumerate(tensors)]
            part = gradients(case, sample, some, by=[tensors[i] for i in subset])
            among_all = gradients(case, sample, tensors, by=[tensors[i] for i in subset])
            for i, a, b in zip(subset, part, among_all, strict=True):
                for g in (a, b):
                    require(
                        (g is None) == (full[i] is None),
                        f"{case}({sample}): input {i} of {subset} is reached or not, by need",
                    )
                    if g is not None:
                        require_close(f"{case}({sample}): input {i} of {subset}", g.data, full[i].data)


def need_is_honoured(case: OpCase, sample: Sample) -> None:
    """No vjp returns a gradient for an input that does not need one where another does."""
    tensors = case.tensors(sample)
    vjps = []
    original = mg.autograd._vjp

    def recorded(node, need, cotangents):
        grads = original(node, need, cotangents)
        vjps.append((node.op.name, need, grads))
        return grads

    mg.autograd._vjp = recorded
    try:
        for i in range(len(tensors)):
            some = [t if i == j else t.detach() for j, t in enumerate(tensors)]
            gradients(case, sample, some, by=[tensors[i]])
    finally:
        mg.autograd._vjp = original
    for name, needs, grads in vjps:
        require(any(needs), f"{case}({sample}): the vjp of {name} ran for nothing")
        for position, (n, g) in enumerate(zip(needs, grads, strict=True)):
            require(
                n or g is None,
                f"{case}({sample}): the vjp of {name} computed the unneeded gradient of input {position}",
            )


# 6 Layout


def layouts(case: OpCase, sample: Sample) -> None:
    """Every layout of `strategies.LAYOUTS`."""
    for layout in LAYOUTS.values():
        in_layout(case, sample, layout)


def in_layout(case: OpCase, sample: Sample, layout) -> None:
    """Inputs and cotangents in another memory layout give what their contiguous copies give."""
    arrays = [layout(a) for a in case.arrays(sample)]
    plain = [np.array(a, order="C") for a in arrays]
    results = []
    for operands, arrange in ((arrays, layout), (plain, lambda g: np.array(layout(g), order="C"))):
        tensors = [Tensor(placed(a)).requires_grad_() for a in operands]
        ys = [y.data for y in outputs(case.bound(sample)(*tensors))]
        results.append((ys, gradients(case, sample, tensors, layout=arrange)))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        require_close(f"{case}({sample}): value", a, b)
    for i, (a, b) in enumerate(zip(results[0][1], results[1][1], strict=True)):
        require((a is None) == (b is None), f"{case}({sample}): input {i} is reached or not, by layout")
        if a is not None:
            require_close(f"{case}({sample}): gradient of input {i}", a.data, b.data)


# 8 Dtypes


def dtypes(case: OpCase, sample: Sample) -> None:
    """float32 stays float32, in values and in gradients of orders 1 and 2, and is near the float64 result."""
    top = min(case.max_order, 2)
    for order in range(top + 1):
        narrow = gradcheck.derivatives(case.bound(sample), case.tensors(sample, float32), order)
        wide = gradcheck.derivatives(
            case.bound(sample), [t.to(float64).detach().requires_grad_() for t in case.tensors(sample, float32)], order
        )
        for i, (a, b) in enumerate(zip(narrow, wide, strict=True)):
            require((a is None) == (b is None), f"{case}({sample}): order {order}, {i} is zero or not, by dtype")
            if a is None:
                continue
            if b.dtype in FLOATS and case.op not in ("double",):
                require(
                    a.dtype == float32, f"{case}({sample}): order {order}, {i} has dtype {a.dtype} from float32 inputs"
                )
            require_close(
                f"{case}({sample}) order {order}, {i}, float32 against float64", a, b, case.tolerance * (1 + 4 * order)
            )


# 9 Purity


def pure(case: OpCase, sample: Sample) -> None:
    """Nothing given is changed (it is read-only), and a second run gives the same bits: values and gradients to order
    2."""
    for dtype in case.dtypes:
        runs = []
        for _ in range(2):
            tensors = case.tensors(sample, dtype)
            before = [host(t.data).copy() for t in tensors]
            results = outputs(case.bound(sample)(*tensors))
            values_before = [host(y.data).copy() for y in results]
            got = [*values_before]
            for order in range(1, min(case.max_order, 2) + 1):
                got += [g for g in gradcheck.derivatives(case.bound(sample), tensors, order) if g is not None]
            gradients(case, sample, tensors)
            for i, (t, k) in enumerate(zip(tensors, before, strict=True)):
                require(np.array_equal(host(t.data), k, equal_nan=True), f"{case}({sample}): input {i} was changed")
            for i, (y, k) in enumerate(zip(results, values_before, strict=True)):
                require(
                    np.array_equal(host(y.data), k, equal_nan=k.dtype.kind == "f"),
                    f"{case}({sample}): output {i} was changed by the gradient",
                )
            runs.append(got)
        for a, b in zip(*runs, strict=True):
            require(a.tobytes() == b.tobytes(), f"{case}({sample}) {dtype}: a second run differs in its bits")


def leaves_cotangents_alone(case: OpCase, sample: Sample) -> None:
    """The vjp changes no cotangent, read-only ones included."""
    tensors = case.tensors(sample)
    ys = [y for y in outputs(case.bound(sample)(*tensors)) if y.requires_grad]
    if not ys:
        return
    arrays = [gradcheck.cotangent(3, 1, i, y.shape).astype(y.dtype) for i, y in enumerate(ys)]
    before = [g.copy() for g in arrays]
    for g in arrays:
        g.flags.writeable = False
    seeds = [Tensor(to_device(g, default_device())) for g in arrays]
    mg.grad(ys, tensors, seeds)
    require(
        all(np.array_equal(host(g.data), k) for g, k in zip(seeds, before, strict=True)),
        f"{case}({sample}): a cotangent was changed",
    )


# 10 Memory


def freed(case: OpCase, sample: Sample) -> None:
    """With the collector off, nothing of a second-order graph outlives its last name."""
    gc.disable()
    try:
        tensors = case.tensors(sample)
        alive = [weakref.ref(t) for t in tensors]
        ys = [y for y in outputs(case.bound(sample)(*tensors)) if y.requires_grad]
        alive += [weakref.ref(y) for y in ys]
        if ys:
            seeds = [Tensor(placed(gradcheck.cotangent(2, 1, i, y.shape).astype(y.dtype))) for i, y in enumerate(ys)]
            first = [g for g in mg.grad(ys, tensors, seeds, create_graph=True) if g is not None]
            alive += [weakref.ref(g) for g in first]
            second = [g for g in first if g.requires_grad]
            if second:
                mg.grad(second, tensors, [mg.ones_like(g) for g in second])
            del seeds, first, second
        tensors = ys = None
        survivors = [r() for r in alive if r() is not None]
        require(not survivors, f"{case}({sample}): {len(survivors)} tensors wait for the garbage collector")
    finally:
        gc.enable()
