"""save and load: what goes in comes out, in its types; nothing else is written, and nothing damaged is read."""

import io
from collections import OrderedDict

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, mg.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    else:
        assert a == b or a != a


THINGS = {
    "tensors": [mg.ones(2, 3), mg.tensor([1, 2]), mg.tensor(1.5, dtype=mg.float64, requires_grad=True), mg.zeros(0, 3)],
    "arrays": (np.arange(4, dtype=np.int8), np.array(True), np.zeros((2, 0))),
    "numbers": [1, -2.5, float("inf"), float("nan"), True, None, "text", 10**30],
    "dicts": {1: "a", "1": "b", None: [], 2.5: OrderedDict(b=1, a=2), "empty": {}},
    "nested": {"a": [({"b": mg.ones(1)},), ()]},
    "parameter": nn.Parameter(mg.ones(2)),
    "dtype": np.dtype("float32"),
}


@pytest.mark.parametrize("name", THINGS)
def test_what_goes_in_comes_out(name, tmp_path):
    mg.save(THINGS[name], tmp_path / "x.pt")
    same(mg.load(tmp_path / "x.pt"), THINGS[name])
    buffer = io.BytesIO()
    mg.save(THINGS[name], buffer)
    buffer.seek(0)
    same(mg.load(buffer, map_location="cpu"), THINGS[name])


def test_a_training_run_goes_on(tmp_path):
    def make():
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        optimizer = optim.Adam(net.parameters(), lr=0.1, amsgrad=True)
        return net, optimizer, optim.lr_scheduler.StepLR(optimizer, 2)

    def step(net, optimizer, scheduler):
        optimizer.zero_grad()
        net(mg.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0]])).exp().sum().backward()
        optimizer.step()
        scheduler.step()

    parts = make()
    for _ in range(3):
        step(*parts)
    mg.save([part.state_dict() for part in parts], tmp_path / "run.npz")
    others = make()
    for part, state in zip(others, mg.load(tmp_path / "run.npz"), strict=True):
        part.load_state_dict(state)
    for _ in range(3):
        step(*parts)
        step(*others)
    same(parts[0].state_dict(), others[0].state_dict())
    assert parts[2].get_last_lr() == others[2].get_last_lr()


def test_what_cannot_be_saved_is_named(tmp_path):
    circle = []
    circle.append(circle)
    for thing, words in (
        (nn.Linear(1, 1), "object is a Linear; save its state_dict"),
        ({"a": [object()]}, r"object\['a'\]\[0\] is a object; save tensors"),
        ({(1, 2): 3}, r"object has the key \(1, 2\)"),
        (circle, r"object\[0\] contains itself"),
        ([np.array(["text"])], r"object\[0\] is an array of <U4"),
    ):
        with pytest.raises(TypeError, match="^save: " + words):
            mg.save(thing, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="cannot write"):
        mg.save(1, tmp_path / "no" / "x.pt")


def test_what_is_damaged_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    mg.save({"a": mg.ones(50), "b": [1.5]}, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"^load: .*x\.pt is damaged, or no file of minigan\.save"):
            mg.load(path)
    for place in rng.integers(0, len(whole), 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            answer = mg.load(path)
        except ValueError as error:
            assert str(error).startswith("load: ")
        else:  # a byte that says nothing, such as a date
            same(answer, {"a": mg.ones(50), "b": [1.5]})
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    for other in (path.with_suffix(".npz"),):
        with pytest.raises(ValueError, match="it has no structure"):
            mg.load(other)
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="weights_only"):
        mg.load(path, weights_only=False)


def test_files_of_others_are_named(tmp_path, torch):
    """And not called damaged; nobody is told to unpickle."""
    weights = torch.nn.Linear(2, 2).state_dict()
    torch.save(weights, tmp_path / "a.pt")
    torch.save(weights, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    pytest.importorskip("safetensors.numpy").save_file({"x": np.ones(3)}, tmp_path / "c.safetensors")
    for name, words in {"a.pt": "torch.load", "b.pt": "torch.load", "c.safetensors": "load_file"}.items():
        with pytest.raises(ValueError, match=words) as error:
            mg.load(tmp_path / name)
        assert "allow_pickle" not in str(error.value) and "damaged" not in str(error.value)
