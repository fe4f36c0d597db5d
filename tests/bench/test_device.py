"""The bench of a device measures memory, not the cache, and compares float32 with float32: on arrays, events and a
PyTorch that note what is done with them."""

import weakref
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from minigan.backend import module_of
from minigan.bench import device
from minigan.bench.device import APART, SHARE_OF_MEMORY, Work, count_of_sets, in_turn, row, works
from minigan.bench.device_torch import precision

LENGTH = {"bursts": 3, "burst_ms": 20.0}
SIZE = 1000  # numbers of an array below


class Clock:
    """Events of a device on which a call takes a millisecond; arrays are NumPy's."""

    def __init__(self, cache: int = 0, free: int = 1 << 40) -> None:
        self.now, self.freed = 0.0, 0
        attributes = {"L2CacheSize": cache} if cache else {}
        event = SimpleNamespace(record=lambda: None, synchronize=lambda: None)
        self.cuda = SimpleNamespace(
            Device=lambda: SimpleNamespace(attributes=attributes),
            runtime=SimpleNamespace(memGetInfo=lambda: (free, free)),
            Event=lambda: SimpleNamespace(**vars(event)),
            get_elapsed_time=lambda start, stop: 1.0,
        )

    def asarray(self, array):
        return array.copy()

    def get_default_memory_pool(self):
        return SimpleNamespace(free_all_blocks=lambda: setattr(self, "freed", self.freed + 1))


def fake_torch(matmul: bool = False, cudnn: bool = True):
    """The part of PyTorch that the bench uses; its defaults for TF32."""
    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None, elapsed_time=lambda stop: 1.0)
    return SimpleNamespace(
        backends=SimpleNamespace(
            cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=matmul)), cudnn=SimpleNamespace(allow_tf32=cudnn)
        ),
        cuda=SimpleNamespace(Event=lambda enable_timing: event, empty_cache=lambda: None),
        as_tensor=lambda a, device: a.copy(),
    )


def flags(torch) -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def uses(calls: list[int]) -> list[int]:
    """How many other calls lie between two uses of the same array, each time."""
    places = {array: [k for k, other in enumerate(calls) if other == array] for array in set(calls)}
    return [b - a - 1 for where in places.values() for a, b in pairwise(where)]


@pytest.mark.parametrize("cache", [4 * SIZE // 10, 4 * SIZE, 10 * SIZE, 13 * 4 * SIZE])
@pytest.mark.parametrize("contestant", ["minigan", "PyTorch"])
def test_what_lies_between_two_uses_of_an_array_is_several_times_the_cache(contestant, cache):
    """Of a tenth of a set, one, two and a half and thirteen; minigan's calls and PyTorch's, from the first to the last
    of them all."""
    ours, theirs = [], []
    work = Work("x", ((SIZE,),), lambda x: ours.append(id(x)), SIZE, SIZE, lambda torch, x: theirs.append(id(x)))
    figures = row(work, Clock(cache), fake_torch(), None, LENGTH)
    calls = {"minigan": ours, "PyTorch": theirs}[contestant]
    assert figures["sets"] == len(set(calls)) >= 2
    assert min(uses(calls)) * 4 * SIZE >= APART * cache
    assert min(uses(calls)) * 4 * SIZE < APART * cache + 4 * SIZE or figures["sets"] == 2
    counts = [calls.count(array) for array in set(calls)]
    assert max(counts) - min(counts) <= 1 and len(calls) > 3 * 20


def test_the_clock_starts_when_every_set_was_used():
    """What a first use costs (Adam's table of addresses, a page of memory) is not in the figure."""
    calls, before = [], []
    clock = Clock(4 * SIZE * 10)
    clock.cuda.Event = lambda: SimpleNamespace(record=lambda: before.append(len(calls)), synchronize=lambda: None)
    sets = row(Work("x", ((SIZE,),), calls.append, SIZE, SIZE), clock, None, None, LENGTH)["sets"]
    assert min(before) == sets == 31


def test_sets_fit_into_a_quarter_of_the_free_memory():
    """With their results; one set stays where there is room for none. Without a cache to fool there is one."""
    work = Work("x", ((SIZE,), (SIZE,)), None, 3 * SIZE, SIZE)
    assert work.nbytes == 8 * SIZE
    assert count_of_sets(work, Clock(cache=80 * SIZE)) == 31
    for sets in (1, 2, 5, 30):
        free = int(sets * (8 + 12) * SIZE / SHARE_OF_MEMORY)
        assert count_of_sets(work, Clock(80 * SIZE, free)) == sets
        assert count_of_sets(work, Clock(80 * SIZE, free - 1)) == max(1, sets - 1)
    assert count_of_sets(work, Clock()) == 1
    assert all(count_of_sets(each, Clock(60 << 20, 140 << 30)) in range(2, 9) for each in works())


def test_results_lie_in_different_memory():
    """When a set is in use, the results of the others are still there: the pool has to find another place."""

    class Result:
        pass

    alive = []

    def call(x):
        alive.append(sum(ref() is not None for ref in results))
        result = Result()
        results.append(weakref.ref(result))
        return result

    results = []
    turn = in_turn(call, [(0,), (1,), (2,)])
    for _ in range(9):
        turn()
    assert alive == [0, 1, 2, 3, 3, 3, 3, 3, 3]


def test_memory_is_given_back_between_the_two():
    """What minigan's pool holds is PyTorch's to use, and free to be counted."""
    clock, order = Clock(4 * SIZE), []
    torch = fake_torch()
    torch.cuda.empty_cache = lambda: order.append("empty")
    work = Work("x", ((SIZE,),), lambda x: order.append("ours"), SIZE, SIZE, lambda t, x: order.append("theirs"))
    row(work, clock, torch, None, LENGTH)
    assert clock.freed == 2
    assert [step for step, before in zip(order, [None, *order], strict=False) if step != before] == [
        *("empty", "ours", "empty", "theirs")
    ]


def test_kernels_that_write_in_place_and_adam_take_turns(device):
    """On three sets each row gives what it gives on one: two calls on each set, and Adam's state is the set's own."""
    xp = module_of(device)
    for work in works(16):
        if work.name not in ("leaky_relu", "bias_act", "Adam"):
            continue
        random = np.random.default_rng(3)
        arrays = [random.standard_normal(shape).astype(np.float32) for shape in work.shapes]
        if work.name == "Adam":
            arrays[-1] = np.abs(arrays[-1])  # the mean of squares

        def lying(work=work, arrays=arrays):
            there = tuple(map(xp.asarray, arrays))
            return there if work.state is None else (*there, work.state(*there))

        alone, sets = lying(), [lying() for _ in range(3)]
        call = in_turn(work.run, sets)
        for _ in range(2):
            work.run(*alone)
        for _ in range(6):
            call()
        assert not np.array_equal(alone[0].get(), arrays[0])
        for each in sets:
            assert np.array_equal(each[0].get(), alone[0].get()), work.name


def test_each_set_has_a_state_of_its_own():
    seen = set()
    work = Work("x", ((SIZE,),), lambda x, state: seen.add((id(x), state)), SIZE, SIZE, state=id)
    sets = row(work, Clock(4 * SIZE), None, None, LENGTH)["sets"]
    assert len(seen) == sets > 2 and all(array == state for array, state in seen)


def test_pytorch_computes_in_float32_and_once_more_in_tf32():
    """A product is timed with TF32 off, then on; anything else with it off alone. Then PyTorch is as it was."""
    seen: list[tuple[bool, bool]] = []
    for before in ((False, True), (True, False)):
        torch = fake_torch(*before)
        seen.clear()
        work = Work("x", ((SIZE,),), lambda x: None, SIZE, SIZE, lambda t, x: seen.append(flags(t)), product=True)
        figures = row(work, Clock(), torch, None, LENGTH)
        half = len(seen) // 2
        assert seen == [(False, False)] * half + [(True, True)] * half and half > 20
        assert figures["torch_us"] > 0 and figures["torch_tf32_us"] > 0 and flags(torch) == before
        seen.clear()
        work = Work("x", ((SIZE,),), lambda x: None, SIZE, SIZE, lambda t, x: seen.append(flags(t)))
        figures = row(work, Clock(), torch, None, LENGTH)
        assert set(seen) == {(False, False)} and figures["torch_tf32_us"] is None and flags(torch) == before


def test_products_are_the_convolutions_and_the_matrix_product():
    products = {work.name for work in works() if work.product}
    assert products == {work.name for work in works() if "stride" in work.name or "matrix" in work.name}
    assert len(products) == 7


def test_pytorch_is_as_before_where_a_row_fails():
    torch = fake_torch()

    def fail(torch, x):
        assert flags(torch) == (False, False)
        raise MemoryError("CUDA out of memory")

    with pytest.raises(MemoryError):
        row(Work("x", ((SIZE,),), lambda x: None, SIZE, SIZE, fail, True), Clock(), torch, None, LENGTH)
    assert flags(torch) == (False, True)


def test_the_switches_are_pytorchs(torch):
    """The real ones, which also say it in PyTorch's newer words."""
    before, word = flags(torch), torch.get_float32_matmul_precision()
    with precision(torch, True):
        assert flags(torch) == (True, True) and torch.get_float32_matmul_precision() == "high"
        with precision(torch, False):
            assert flags(torch) == (False, False) and torch.get_float32_matmul_precision() == "highest"
        assert flags(torch) == (True, True)
    assert flags(torch) == before and torch.get_float32_matmul_precision() == word


def test_the_table_says_what_tf32_is():
    """A column with its time where there is one; what the roofline, the cache and PyTorch's version are stand above."""
    row = {"us": 50.0, "bytes": 1, "operations": 1, "sets": 7, "least_us": 25.0, "share": 0.5, "torch_us": 60.0}
    rows = {"product": row | {"torch_tf32_us": 12.5}, "tanh": row | {"torch_tf32_us": None}}
    gpu = {"name": "H200", "bandwidth": 4.8e12, "rate": 67e12, "cache": 60 << 20}
    figures = {"device": "cuda", "quick": False, "gpu": gpu, "torch": "2.13.0", "rows": rows, "steps": {}}
    lines = device.text(figures).splitlines()
    assert "H200" in lines[0] and "60 MiB of L2" in lines[0]
    assert lines[1].split() == ["us", "roofline", "share", "PyTorch", "ratio", "TF32", "sets"]
    assert lines[2].split() == ["product", "50.0", "25.0", "50%", "60.0", "1.20", "12.5", "7"]
    assert lines[3].split() == ["tanh", "50.0", "25.0", "50%", "60.0", "1.20", "-", "7"]
    legend = "\n".join(lines[4:])
    assert "10 bits" in legend and "float32" in legend and "not compared" not in legend
    assert "not compared" in device.text(figures | {"torch": None})
