"""no_grad and its like: contexts that can be entered again, and decorators of every kind of function."""

import asyncio
import threading

import pytest

import minigan as mg


def test_one_object_in_itself_and_in_threads():
    mode, seen = mg.no_grad(), {}

    def work(name, barrier):
        for _ in range(50):
            with mode:
                barrier.wait()
                seen[name] = mg.is_grad_enabled()
            assert mg.is_grad_enabled()

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(i, barrier)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {0: False, 1: False}
    with mode, mg.enable_grad(), mode:
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()


def test_an_exception_ends_the_mode():
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert mg.is_grad_enabled()


def test_a_generator_runs_in_the_mode_and_its_caller_does_not():
    log = []

    @mg.no_grad()
    def steps():
        try:
            while True:
                try:
                    sent = yield mg.is_grad_enabled()
                    log.append((sent, mg.is_grad_enabled()))
                except ValueError:
                    log.append(("caught", mg.is_grad_enabled()))
                if log[-1][0] == "stop":
                    return "end"
        finally:
            log.append(("finally", mg.is_grad_enabled()))

    g = steps()
    assert next(g) is False and mg.is_grad_enabled()
    assert g.send(1) is False and g.throw(ValueError) is False and mg.is_grad_enabled()
    with pytest.raises(StopIteration) as end:
        g.send("stop")
    assert end.value.value == "end" and mg.is_grad_enabled()
    assert log == [(1, False), ("caught", False), ("stop", False), ("finally", False)]
    log.clear()
    g = steps()
    next(g)
    g.close()
    assert log == [("finally", False)] and mg.is_grad_enabled()


def test_a_coroutine_runs_in_the_mode():
    @mg.no_grad()
    async def work():
        before = mg.is_grad_enabled()
        await asyncio.sleep(0)
        return before, mg.is_grad_enabled()

    async def both():
        answer, other = await asyncio.gather(work(), asyncio.sleep(0, mg.is_grad_enabled()))
        return answer, other, mg.is_grad_enabled()

    assert asyncio.run(both()) == ((False, False), True, True)


def test_what_cannot_be_decorated_is_refused():
    async def stream():
        yield 1

    for thing in (int, 3, stream):
        with pytest.raises(TypeError, match="can decorate a function"):
            mg.no_grad()(thing)


def test_set_grad_enabled_holds_until_taken_back():
    mg.set_grad_enabled(False)
    try:
        assert not mg.is_grad_enabled()
        with mg.set_grad_enabled(True):
            assert mg.is_grad_enabled()
        assert not mg.is_grad_enabled()
    finally:
        mg.set_grad_enabled(True)
    called = mg.set_grad_enabled(False)(mg.is_grad_enabled)
    assert mg.is_grad_enabled() and not called()
