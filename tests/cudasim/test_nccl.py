"""The model of NCCL: what it computes, and that whatever would hang a GPU, or give it wrong numbers, is named."""

import inspect
import re
import threading

import numpy as np
import pytest

from minigan.cudasim import nccl
from minigan.cudasim.nccl import CollectiveError, World
from minigan.cudasim.standin import StandIn

SIZE = 3


def run(*functions, size=None):
    """function(xp, comm) of each rank, in a thread each; what they return, or raise."""
    xp = StandIn()
    world = World(xp, size or len(functions))
    results = [None] * len(functions)

    def one(rank):
        try:
            comm = world.backend(rank)
            results[rank] = functions[rank](xp, comm)
            comm.stop()
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a rank hangs"
    return results


def numbers(xp, comm, count=6, dtype=np.float32):
    return xp.asarray((np.arange(count) + 10 * comm.rank).astype(dtype))


def collective(name, out_count, *arguments, count=6):
    def function(xp, comm):
        out = xp.zeros(out_count, np.float32)
        getattr(comm, name)(numbers(xp, comm, count), out, *arguments)
        return out.get().tolist()

    return function


ALL = [np.arange(6) + 10 * k for k in range(SIZE)]
COMPUTED = {
    "all_reduce": (collective("all_reduce", 6), [sum(ALL)] * SIZE),
    "all_reduce max": (collective("all_reduce", 6, "max"), [ALL[2]] * SIZE),
    "reduce": (collective("reduce", 6, 1), [np.zeros(6), sum(ALL), np.zeros(6)]),
    "reduce_scatter": (collective("reduce_scatter", 2, 2), np.split(sum(ALL), SIZE)),
    "all_gather": (collective("all_gather", 18, 6), [np.concatenate(ALL)] * SIZE),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_a_collective_computes(name):
    function, expected = COMPUTED[name]
    for result, values in zip(run(*[function] * SIZE), expected, strict=True):
        assert result == list(values)


def test_broadcast_all_to_all_and_messages():
    def function(xp, comm):
        x = numbers(xp, comm)
        comm.broadcast(x, 2)
        square = xp.asarray(np.arange(3.0) + 10 * comm.rank).reshape(3, 1)
        turned = xp.zeros((3, 1))
        comm.all_to_all(square, turned)
        comm.barrier()
        mine, other = xp.ones(2) * comm.rank, xp.zeros(2)
        if comm.rank < 2:
            comm.send_recv(mine, other, 1 - comm.rank)
        return x.get().tolist(), turned.get().ravel().tolist(), other.get().tolist()

    for rank, (x, turned, other) in enumerate(run(*[function] * SIZE)):
        assert x == list(ALL[2]) and turned == [rank, 10 + rank, 20 + rank]
        assert other == ([1 - rank] * 2 if rank < 2 else [0, 0])


def test_a_call_returns_before_the_others_are_there_and_reads_what_its_array_held():
    """What is written into the array afterwards, in the same stream, comes after it."""
    begun = threading.Event()

    def early(xp, comm):
        x, y = xp.ones(4), xp.zeros(4)
        comm.all_reduce(x, y)
        x.fill(7)
        begun.set()
        return y.get().tolist()

    def late(xp, comm):
        assert begun.wait(10)
        x, y = xp.ones(4), xp.zeros(4)
        comm.all_reduce(x, y)
        return y.get().tolist()

    assert run(early, late) == [[2.0] * 4] * 2


def test_a_sum_has_no_order_that_one_may_count_on():
    """Of three ranks' numbers, that from the first on differs in its last bits."""
    values = np.array([1e16, -1e16, 1.0])

    def function(xp, comm):
        out = xp.zeros(1)
        comm.all_reduce(xp.asarray(values[comm.rank : comm.rank + 1]), out)
        return out.get()[0]

    assert set(run(*[function] * 3)) == {(values[2] + values[1]) + values[0]} != {(values[0] + values[1]) + values[2]}


def reduced(count=6, dtype=np.float32, op="sum"):
    def function(xp, comm):
        out = xp.zeros(count, dtype)
        comm.all_reduce(numbers(xp, comm, count, dtype), out, op)
        return out.get()

    return function


def sent(first, second):
    def function(xp, comm):
        x, y = xp.ones(2), xp.zeros(2)
        for name in (first, second):
            getattr(comm, name)(x if name == "send" else y, 1 - comm.rank)
        return y.get()

    return function


def idle(xp, comm):
    return None


def in_an_open_group(xp, comm):
    out = xp.zeros(6, np.float32)
    comm.group_start()
    comm.all_reduce(numbers(xp, comm), out)
    return out.get()


def never_ended(xp, comm):
    comm.group_start()
    comm.all_reduce(numbers(xp, comm), xp.zeros(6, np.float32))


def used(wait):
    """Written in a stream, used in another one after `wait(xp, stream)`."""

    def function(xp, comm):
        out, stream = xp.zeros(6, np.float32), xp.cuda.Stream()
        comm.all_reduce(numbers(xp, comm), out, stream=stream)
        wait(xp, stream)
        return (out[2:] + 1).get().tolist()

    return function


def by_event(xp, stream):
    event = xp.cuda.Event()
    event.record(stream)
    xp.cuda.get_current_stream().wait_event(event)


def too_early(xp, stream):
    event = xp.cuda.Event()
    event.record()
    xp.cuda.get_current_stream().wait_event(event)


def on_rank_0(function):
    return function, reduced()


HANG = "all ranks wait for one another"
MISTAKES = {
    "another collective": ((reduced(), collective("all_gather", 12, 6)), r"meets rank .*all_gather\(6, float32\)"),
    "another size": (
        (reduced(6), reduced(5)),
        r"all_reduce\(6, float32, sum\) meets|all_reduce\(5, float32, sum\) meets",
    ),
    "another dtype": ((reduced(), reduced(dtype=np.float64)), "float64.* meets|meets .*float64"),
    "another op": ((reduced(), reduced(op="max")), "max.* meets|meets .*max"),
    "another root": ((collective("reduce", 6, 0), collective("reduce", 6, 1)), "meets"),
    "a rank that makes no call": ((reduced(), idle), f"{HANG}: .*all_reduce.*; rank 1 has ended after 0 calls"),
    "sends that cross": ((sent("send", "recv"),) * 2, f"{HANG}: .*send.*send.*between groupStart and groupEnd"),
    "receives that cross": ((sent("recv", "send"),) * 2, f"{HANG}: .*recv.* from rank 1"),
    "a group that is used open": ((in_an_open_group, reduced()), "groupEnd comes before its use"),
    "a group that never ends": ((never_ended, idle), "rank 0 ends in a group: groupEnd is missing"),
    "an end without a start": (on_rank_0(lambda xp, comm: comm.group_end()), "groupEnd without groupStart"),
    "a sum used in another stream": ((used(lambda *a: None),) * 2, "writes in stream .* used in stream 0"),
    "an event recorded elsewhere": ((used(too_early),) * 2, "has not waited for it"),
    "overlapping arrays": (
        on_rank_0(lambda xp, comm: (lambda x: comm.all_reduce(x[:4], x[2:]))(xp.zeros(6))),
        "in_array and out_array overlap",
    ),
    "too small a place": (on_rank_0(lambda xp, comm: comm.all_gather(xp.ones(6), xp.ones(6), 6)), "has 6 numbers, 12"),
    "two dtypes": (
        on_rank_0(lambda xp, comm: comm.all_reduce(xp.ones(6), xp.ones(6, np.float32))),
        "out_array float32",
    ),
    "no such rank": (on_rank_0(lambda xp, comm: comm.send(xp.ones(1), 2)), "there is no rank 2 of 2"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name):
    functions, match = MISTAKES[name]
    errors = [r for r in run(*functions) if isinstance(r, Exception)]
    assert errors and all(isinstance(e, CollectiveError) for e in errors), errors
    assert any(re.search(match, str(e)) for e in errors), errors


REFUSED = {
    "a NumPy array": (lambda xp, comm: comm.all_reduce(np.ones(3), xp.ones(3)), TypeError),
    "every other number": (lambda xp, comm: comm.all_reduce(xp.ones(6)[::2], xp.ones(3)), RuntimeError),
    "bools": (lambda xp, comm: comm.all_reduce(xp.ones(3, bool), xp.ones(3, bool)), TypeError),
    "an unknown op": (lambda xp, comm: comm.all_reduce(xp.ones(3), xp.ones(3), "mean"), RuntimeError),
    "a shape without ranks": (lambda xp, comm: comm.all_to_all(xp.ones(3), xp.ones(3)), RuntimeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cupyx_refuses_is_refused(name):
    function, kind = REFUSED[name]
    first, second = run(function, idle)
    assert type(first) is kind and second is None


@pytest.mark.parametrize("wait", [lambda xp, stream: stream.synchronize(), by_event])
def test_a_stream_that_has_waited_may_use_the_sum(wait):
    assert run(*[used(wait)] * 2) == [[2 * k + 11 for k in range(2, 6)]] * 2


def test_one_thread_with_several_ranks_needs_a_group():
    xp = StandIn()
    world = World(xp, 2)
    comms = [world.backend(k) for k in range(2)]
    outs = [xp.zeros(2), xp.zeros(2)]
    for comm in comms:
        comm.group_start()
    for comm, out in zip(comms, outs, strict=True):
        comm.all_reduce(xp.ones(2), out)
    world = World(xp, 2)
    comms = [world.backend(k) for k in range(2)]
    comms[0].all_reduce(xp.ones(2), xp.zeros(2))
    with pytest.raises(CollectiveError, match="between groupStart and groupEnd"):
        comms[1].all_reduce(xp.ones(2), xp.zeros(2))


def test_nothing_is_kept_of_arrays_that_are_gone():
    def function(xp, comm):
        for _ in range(20):
            out = xp.zeros(6, np.float32)
            comm.all_reduce(numbers(xp, comm), out)
            out.get()
        comm.barrier()
        del out
        xp.zeros(1).get()
        return len(xp.writing)

    assert max(run(function, function)) <= 2


def test_names_and_arguments_are_those_of_cupyx():
    cupyx = pytest.importorskip("cupyx.distributed")
    for name, function in inspect.getmembers(nccl.NCCLBackend, inspect.isfunction):
        if name[0] != "_" and not name.startswith("group"):
            theirs = inspect.signature(getattr(cupyx.NCCLBackend, name)).parameters
            assert list(inspect.signature(function).parameters) == list(theirs), name
