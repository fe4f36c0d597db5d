"""A captured step beside the world: iterators that stand elsewhere at each step, queues, files, and what holds numbers
in other ways than by a name in the step. Right or refused, never silently old.

Each case gives a step and a change between its calls, or None where the step itself moves on.
"""
# ruff: noqa: B006, B905, C416, C417, RUF015, SIM115 - each case is written as users write

import collections
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import io
import itertools
import json
import logging
import operator
import os
import pathlib
import queue
import random
import secrets
import sys
import tempfile
import threading
import types
import uuid
import warnings
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan.capture import CaptureError, capture
from minigan.capture.draws import Drawn
from minigan.capture.names import NO_NAMES
from minigan.capture.reach import Reach
from minigan.data import Loader

CASES = {}
x = mg.tensor([1.0, 2.0])


def case(build):
    CASES[build.__name__] = build


def path(suffix=""):
    """Of a file that is not there."""
    return os.path.join(tempfile.mkdtemp(), "file" + suffix)


@case
def itertools_count():
    c = itertools.count(1)
    return (lambda: x * next(c), None)


@case
def itertools_cycle():
    c = itertools.cycle([1, 2, 3])
    return (lambda: x * next(c), None)


@case
def list_iterator():
    c = iter([1, 2, 3, 4, 5, 6, 7, 8, 9])
    return (lambda: x * next(c), None)


@case
def generator():

    def g():
        k = 0
        while True:
            k += 1
            yield k

    c = g()
    return (lambda: x * next(c), None)


@case
def generator_of_arrays():

    def g():
        k = 0
        while True:
            k += 1
            yield np.full(2, float(k))

    c = g()
    return (lambda: x * mg.tensor(next(c)), None)


@case
def batches_generator_send():

    def g():
        k = 0
        while True:
            k += 1
            yield k

    c = g()
    next(c)
    return (lambda: x * c.send(None), None)


@case
def queue_get():
    q = queue.Queue()
    [q.put(k) for k in range(1, 20)]
    return (lambda: x * q.get(), None)


@case
def deque_pop():
    q = collections.deque(range(1, 20))
    return (lambda: x * q.popleft(), None)


@case
def list_pop():
    q = list(range(1, 20))
    return (lambda: x * q.pop(), None)


@case
def dict_popitem():
    q = {k: k for k in range(1, 20)}
    return (lambda: x * q.popitem()[1], None)


@case
def file_read():
    f = tempfile.NamedTemporaryFile("w+", delete=False)
    f.write("\n".join(map(str, range(1, 20))))
    f.flush()
    f.seek(0)
    return (lambda: x * float(f.readline()), None)


@case
def path_read():
    p = pathlib.Path(path())
    p.write_text("1")
    return (lambda: x * float(p.read_text()), lambda: p.write_text("5"))


@case
def open_read():
    p = path()
    pathlib.Path(p).write_text("1")

    def step():
        with open(p) as f:
            return x * float(f.read())

    return (step, lambda: pathlib.Path(p).write_text("5"))


@case
def np_load():
    p = path() + ".npy"
    np.save(p, 1.0)
    return (lambda: x * float(np.load(p)), lambda: np.save(p, 5.0))


@case
def metaclass_attribute():

    class M(type):
        scale = 1.0

    class C(metaclass=M):
        pass

    return (lambda: x * C.scale, lambda: setattr(M, "scale", 5.0))


@case
def computed_name():
    s = types.SimpleNamespace(w1=1.0, w2=2.0)
    k = "1"
    return (lambda: x * getattr(s, "w" + k), lambda: setattr(s, "w1", 5.0))


@case
def attrgetter():
    s = types.SimpleNamespace(w1=1.0)
    g = operator.attrgetter("w1")
    return (lambda: x * g(s), lambda: setattr(s, "w1", 5.0))


@case
def methodcaller():

    class C:
        k = 1.0

        def scale(self):
            return self.k

    s = C()
    g = operator.methodcaller("scale")
    return (lambda: x * g(s), lambda: setattr(s, "k", 5.0))


@case
def fstring_name():
    s = types.SimpleNamespace(w1=1.0)
    n = 1
    return (lambda: x * vars(s)[f"w{n}"], lambda: setattr(s, "w1", 5.0))


@case
def weakref_():

    class C:
        pass

    s = C()
    s.k = 1.0
    r = weakref.ref(s)
    return (lambda: x * r().k, lambda: setattr(s, "k", 5.0))


@case
def weakref_proxy():

    class C:
        pass

    s = C()
    s.k = 1.0
    r = weakref.proxy(s)
    return (lambda: x * r.k, lambda: setattr(s, "k", 5.0))


@case
def thread_local():
    s = threading.local()
    s.k = 1.0
    return (lambda: x * s.k, lambda: setattr(s, "k", 5.0))


@case
def lru_cache_():
    s = types.SimpleNamespace(k=1.0)

    @functools.lru_cache
    def f():
        return s.k

    def ch():
        s.k = 5.0
        f.cache_clear()

    return (lambda: x * f(), ch)


@case
def cached_property():

    class C:
        k = 1.0

        @functools.cached_property
        def scale(self):
            return self.k

    s = C()

    def ch():
        s.k = 5.0
        s.__dict__.pop("scale", None)

    return (lambda: x * s.scale, ch)


@case
def property_():

    class C:
        k = 1.0

        @property
        def scale(self):
            return self._h()

        def _h(self):
            return self.k

    s = C()
    return (lambda: x * s.scale, lambda: setattr(s, "k", 5.0))


@case
def descriptor():

    class D:
        v = 1.0

        def __get__(self, o, t):
            return self.v

    d = D()

    class C:
        scale = d

    s = C()
    return (lambda: x * s.scale, lambda: setattr(d, "v", 5.0))


@case
def getattr_dunder():

    class C:
        def __init__(self):
            self.t = {"scale": 1.0}

        def __getattr__(self, n):
            return self.t[n]

    s = C()
    return (lambda: x * s.scale, lambda: s.t.update(scale=5.0))


@case
def getitem_dunder():

    class C:
        def __init__(self):
            self.t = {"scale": 1.0}

        def __getitem__(self, n):
            return self.t[n]

    s = C()
    return (lambda: x * s["scale"], lambda: s.t.update(scale=5.0))


@case
def enum_():

    class E(enum.Enum):
        A = 1.0
        B = 5.0

    s = types.SimpleNamespace(e=E.A)
    return (lambda: x * s.e.value, lambda: setattr(s, "e", E.B))


@case
def decimal_():
    s = types.SimpleNamespace(e=decimal.Decimal(1))
    return (lambda: x * float(s.e), lambda: setattr(s, "e", decimal.Decimal(5)))


@case
def fraction_in_place():
    s = types.SimpleNamespace(e=fractions.Fraction(1))
    return (lambda: x * float(s.e), lambda: setattr(s, "e", fractions.Fraction(5)))


@case
def chainmap():
    a = {"k": 1.0}
    c = collections.ChainMap({}, a)
    return (lambda: x * c["k"], lambda: a.update(k=5.0))


@case
def userdict():
    c = collections.UserDict(k=1.0)
    return (lambda: x * c["k"], lambda: c.update(k=5.0))


@case
def ordereddict():
    c = collections.OrderedDict(k=1.0)
    return (lambda: x * c["k"], lambda: c.update(k=5.0))


@case
def defaultdict_factory():
    c = collections.defaultdict(lambda: 1.0)
    return (lambda: x * c["k"], lambda: c.update(k=5.0))


@case
def counter():
    c = collections.Counter(a=1)
    return (lambda: x * c["a"], lambda: c.update(a=4))


@case
def numpy_scalar_array0():
    a = np.array(1.0)
    return (lambda: x * float(a), lambda: a.__setitem__((), 5.0))


@case
def structured():
    a = np.zeros(3, [("k", "f8")])
    a["k"] = 1
    return (lambda: x * float(a["k"][0]), lambda: a["k"].__setitem__(0, 5.0))


@case
def object_array():
    a = np.array([1.0, "x"], object)
    return (lambda: x * a[0], lambda: a.__setitem__(0, 5.0))


@case
def memmap():
    a = np.memmap(path(), "f8", "w+", shape=(3,))
    a[:] = 1
    return (lambda: x * float(a[0]), lambda: a.__setitem__(0, 5.0))


@case
def memoryview_():
    b = bytearray(b"\x01\x02")
    m = memoryview(b)
    return (lambda: x * m[0], lambda: b.__setitem__(0, 5))


@case
def ctypes_array():
    a = (ctypes.c_double * 2)(1.0, 2.0)
    return (lambda: x * a[0], lambda: a.__setitem__(0, 5.0))


@case
def ctypes_struct():

    class S(ctypes.Structure):
        _fields_ = [("k", ctypes.c_double)]

    s = S(1.0)
    return (lambda: x * s.k, lambda: setattr(s, "k", 5.0))


@case
def json_text():
    s = {"t": '{"k":1.0}'}
    return (lambda: x * json.loads(s["t"])["k"], lambda: s.update(t='{"k":5.0}'))


@case
def stringio():
    s = io.StringIO("1.0")
    return (lambda: x * float(s.getvalue()), lambda: (s.seek(0), s.truncate(), s.write("5.0")))


@case
def mutable_default():

    def f(t={"k": 1.0}):
        return x * t["k"]

    return (f, lambda: f.__defaults__[0].update(k=5.0))


@case
def function_attribute():

    def f():
        return x * f.k

    f.k = 1.0
    return (f, lambda: setattr(f, "k", 5.0))


@case
def class_var_of_instance():

    class C:
        k = 1.0

    s = C()
    return (lambda: x * type(s).k, lambda: setattr(C, "k", 5.0))


@case
def super_attr():

    class A:
        k = 1.0

    class B(A):
        def f(self):
            return super().k

    s = B()
    return (lambda: x * s.f(), lambda: setattr(A, "k", 5.0))


@case
def exec_global():
    g = {"k": 1.0, "x": x}
    exec("def f(): return x*k", g)
    return (g["f"], lambda: g.update(k=5.0))


@case
def eval_():
    s = types.SimpleNamespace(k=1.0)
    return (lambda: x * eval("s.k", {"s": s}), lambda: setattr(s, "k", 5.0))


@case
def map_filter():
    s = [1.0, 2.0]
    return (lambda: x * sum(map(lambda v: v * 2, s)), lambda: s.__setitem__(0, 5.0))


@case
def length():
    s = [1.0, 2.0]
    return (lambda: x * len(s), lambda: s.append(3))


@case
def str_builder():
    s = types.SimpleNamespace(k="1")
    return (lambda: x * int(s.k), lambda: setattr(s, "k", "5"))


@case
def tensor_item_outside():
    t = mg.tensor(1.0)
    return (lambda: x * t, lambda: t.assign(np.float32(5)))


@case
def exists():
    p = path()
    return (lambda: x * (5 if os.path.exists(p) else 1), lambda: pathlib.Path(p).touch())


@case
def slots():

    class C:
        __slots__ = ("k",)

    s = C()
    s.k = 1.0
    return (lambda: x * s.k, lambda: setattr(s, "k", 5.0))


@case
def namedtuple_replace():
    P = collections.namedtuple("P", "k")
    s = [P(1.0)]
    return (lambda: x * s[0].k, lambda: s.__setitem__(0, P(5.0)))


@case
def frozen_dataclass():

    @dataclasses.dataclass(frozen=True)
    class C:
        k: float

    s = types.SimpleNamespace(c=C(1.0))
    return (lambda: x * s.c.k, lambda: setattr(s, "c", C(5.0)))


@case
def simplequeue():
    q = queue.SimpleQueue()
    [q.put(k) for k in range(1, 20)]
    return (lambda: x * q.get(), None)


@case
def itertools_chain():
    c = itertools.chain([1, 2], [3, 4, 5, 6])
    return (lambda: x * next(c), None)


@case
def zip_iter():
    c = zip(range(1, 9), range(9))
    return (lambda: x * next(c)[0], None)


@case
def enumerate_iter():
    c = enumerate(range(9), 1)
    return (lambda: x * next(c)[0], None)


@case
def map_iter():
    c = map(float, range(1, 9))
    return (lambda: x * next(c), None)


@case
def own_iterator():

    class Counting:
        k = 0

        def __next__(self):
            self.k += 1
            return self.k

        def __iter__(self):
            return self

    c = Counting()
    return (lambda: x * next(c), None)


@case
def for_zip_list():
    s = [1.0]
    return (lambda: x * [v for v in s][0], lambda: s.__setitem__(0, 5.0))


@case
def array_sort_inplace():
    a = [3.0, 1.0]
    return (lambda: x * a[0], lambda: a.sort())


@case
def set_membership():
    s = {1}
    return (lambda: x * (5 if 2 in s else 1), lambda: s.add(2))


def results(step, change):
    values = []
    for call in range(4):
        if call == 2 and change is not None:
            change()
        values.append(step().numpy().copy())
    return values


@pytest.mark.parametrize("name", CASES)
def test_right_or_refused(name):
    step, change = CASES[name]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "recorded anew"
            captured = results(capture(step), change)
    except CaptureError:
        return
    np.testing.assert_allclose(captured, results(*CASES[name]()))


LOADER = Loader(np.zeros((6, 2, 2, 1), np.uint8), 2, 0)
SYSTEM = random.SystemRandom()
REFUSED = {
    "datetime": (lambda: x * datetime.datetime.now().microsecond, r"datetime.now\(\) is read"),
    "today": (lambda: x * datetime.date.today().day, r"date.today\(\) is read"),
    "uuid4": (lambda: x * (uuid.uuid4().int % 1000), "urandom"),
    "secrets": (lambda: x * secrets.randbelow(1000), "is read while|random number"),
    "urandom": (lambda: x * os.urandom(1)[0], "urandom"),
    "system's random": (lambda: x * SYSTEM.random(), "urandom|random number"),
    "folder": (lambda: x * len(os.getcwd()), "getcwd"),
    "listing": (lambda: x * len(os.listdir("/")), "listdir"),
    "file": (lambda: x * len(pathlib.Path(__file__).read_text()), "the file .*test_world.py is read"),
    "loader": (lambda: x * float(next(LOADER)[0].mean()), "a Loader is advanced .* with assign"),
    "counter": (lambda c=itertools.count(): x * next(c), "is advanced while the step is recorded"),  # noqa: B008
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_refusal_says_what_was_read(name):
    step, reason = REFUSED[name]
    with pytest.raises(CaptureError, match=reason):
        capture(step)()


def test_a_generator_that_stands_still_is_no_obstacle():
    """Where an earlier generator's frame was, which ran and is gone, another one's may be; it has not run."""

    def refuse(error: CaptureError) -> None:
        raise error

    waiting = (k for k in range(3))
    reach = Reach(len, lambda tensor: False, refuse)
    reach._resumed.add(id(waiting.gi_frame))
    reach.visit(waiting, NO_NAMES, "waiting")
    reach.refuse_draws(Drawn())
    reach._resumed.add(id(waiting.gi_frame))
    with pytest.raises(CaptureError, match="waiting is advanced"):
        reach.refuse_draws(Drawn())


def test_what_is_written_or_reported_is_not_read(tmp_path):
    """A step may print, log and warn, iterate over what it makes, import, and append to a file."""
    log = logging.getLogger("step")
    log.propagate = False  # pytest's own handler is Python code that counts what it sees
    log.addHandler(logging.StreamHandler(stream := io.StringIO()))

    def step():
        warnings.warn("from the step", UserWarning, stacklevel=1)
        logging.getLogger("step").warning("at %s", json.dumps("work"))
        with open(tmp_path / "log", "a") as file:
            print("once", file=file)
        return x * sum(next(iter([k])) for k in range(3)) * next(k for k in itertools.count(1))

    captured = capture(step)
    with pytest.warns(UserWarning, match="from the step"):
        for _ in range(3):
            assert captured().tolist() == [3.0, 6.0]
    assert (tmp_path / "log").read_text() == "once\n"
    assert stream.getvalue() == 'at "work"\n' and len(captured.plans) == 1


CUPY = """
import os, tempfile
loaded = {}
def asarray(a):
    if a.dtype not in loaded:
        os.path.exists("kernel.cubin"), os.stat(".")
        handle, path = tempfile.mkstemp()
        with os.fdopen(handle, "rb") as file:
            loaded[a.dtype] = file.read()
        os.remove(path)
    loaded["calls"] = loaded.get("calls", 0) + 1
    return a
"""


def test_what_cupy_compiles_at_first_use_is_nobodys_business(tmp_path, monkeypatch):
    """CuPy looks for a kernel on the disk, and keeps a new one there under a random name, in a process's first step,
    which is recorded. What it remembers changes at each call, and makes no record anew."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(CUPY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    cupy = importlib.import_module("cupy")
    x = mg.tensor([1.0, 2.0])

    @capture
    def step():
        cupy.asarray(np.ones(1))
        return (x * 3).sum()

    try:
        assert [step().item() for _ in range(3)] == [9.0] * 3 and cupy.loaded["calls"] == 1
    finally:
        sys.modules.pop("cupy", None)


def test_only_cupy_itself_may(tmp_path, monkeypatch):
    """The same code under another name is a user's."""
    (tmp_path / "cuppy").mkdir()
    (tmp_path / "cuppy" / "__init__.py").write_text(CUPY)
    monkeypatch.syspath_prepend(tmp_path)
    cuppy, x = importlib.import_module("cuppy"), mg.tensor([1.0, 2.0])
    with pytest.raises(CaptureError, match=r"stat\(\) is read"):
        capture(lambda: (x * float(cuppy.asarray(np.ones(1))[0])).sum())()
