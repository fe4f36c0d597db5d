"""DataLoader: every sample once an epoch, in the order that the generator says; batches as PyTorch collates them."""

import numpy as np
import pytest

import minigan as mg
from minigan import data
from minigan.data import DataLoader, TensorDataset


class Numbers:
    """Sample i is (i, i^2 as an array, a name, {"half": i / 2})."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        if not 0 <= i < 10:
            raise IndexError(i)
        return i, np.array([i, i * i], np.float32), str(i), {"half": i / 2}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return (str(value.dtype).removeprefix("torch."), value.tolist()) if hasattr(value, "tolist") else value


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 4},
        {"batch_size": 4, "drop_last": True},
        {"batch_size": None},
        {"batch_size": 3, "sampler": [4, 1, 1]},
        {"batch_size": 20, "num_workers": 0, "pin_memory": False},
    ],
)
def test_batches_are_torchs(settings):
    torch = pytest.importorskip("torch")
    ours = DataLoader(Numbers(), **settings)
    theirs = torch.utils.data.DataLoader(Numbers(), **settings)
    assert len(ours) == len(theirs)
    assert [plain(b) for b in ours] == [plain(b) for b in theirs]


def test_shuffling_is_seeded_and_new_each_epoch():
    def epochs(seed):
        loader = DataLoader(Numbers(), 3, shuffle=True, generator=mg.Generator(seed))
        return [[i for batch in loader for i in batch[0].tolist()] for _ in range(3)]

    first = epochs(1)
    assert first == epochs(1) and first != epochs(2)
    assert all(sorted(epoch) == list(range(10)) for epoch in first) and first[0] != first[1]
    mg.manual_seed(0)
    one = [b[0].tolist() for b in DataLoader(Numbers(), 10, shuffle=True)]
    mg.manual_seed(0)
    assert one == [b[0].tolist() for b in DataLoader(Numbers(), 10, shuffle=True)]


def test_tensors_subsets_and_splits():
    x, y = mg.randn(10, 3), mg.arange(10)
    rows = TensorDataset(x, y)
    (a, b) = next(iter(DataLoader(rows, 4)))
    assert (a == x[:4]).numpy().all() and b.tolist() == [0, 1, 2, 3]
    parts = data.random_split(rows, [0.7, 0.3], mg.Generator(0))
    assert [len(p) for p in parts] == [7, 3]
    assert [len(p) for p in data.random_split(rows, [0.5, 0.25, 0.25])] == [6, 2, 2]
    assert sorted(p[i][1].item() for p in parts for i in range(len(p))) == list(range(10))
    assert len(list(DataLoader(parts[0], 2))) == 4
    assert [b.shape for b in DataLoader(mg.randn(5, 2), 2)] == [(2, 2), (2, 2), (1, 2)]
    with pytest.raises(ValueError, match="add up to the 10 samples"):
        data.random_split(rows, [4, 4])


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(TypeError, match="cannot put samples of object together"):
        next(iter(DataLoader([object()])))
    with pytest.raises(ValueError, match="samples of unlike lengths"):
        next(iter(DataLoader([(1, 2), (1,)], 2)))
    with pytest.raises(TypeError, match=r"data\.Loader"):
        DataLoader(data.load("digits"))
    for call, words in (
        (lambda: DataLoader(iter([1])), "has no length"),
        (lambda: DataLoader([1], 0), "at least 1"),
        (lambda: DataLoader([1], shuffle=True, sampler=[0]), "sampler says the order"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()


def test_channels_first_in_bytes_are_refused():
    """Floats are (N, C, H, W), bytes (N, H, W, C); the other way round they would be read as 3 x 32 pixels."""
    with pytest.raises(ValueError, match=r"channels first; pass images.transpose\(0, 2, 3, 1\)"):
        data.Loader(np.zeros((8, 3, 32, 32), np.uint8), 4, 0)
    assert data.Loader(np.zeros((8, 32, 32, 3), np.uint8), 4, 0).batch(0)[0].shape == (4, 3, 32, 32)
    assert data.Loader(np.zeros((8, 4, 4, 4), np.uint8), 4, 0).batch(0)[0].shape == (4, 4, 4, 4)


def test_one_float_makes_floats_whatever_comes_first():
    for batch in ([0, 0.5, 1], [0.5, 1, 0]):
        together = data.default_collate(batch)
        assert together.dtype == np.float64 and together.tolist() == batch
    assert data.default_collate([0, 1]).dtype == np.int64 and data.default_collate([True, False]).dtype == np.bool_


def test_shares_whose_sum_is_rounded():
    assert [len(p) for p in data.random_split(list(range(20)), [0.1] * 10)] == [2] * 10


@pytest.mark.parametrize("lengths", [[12, -2], [7.9, 3.0], [1.5, -0.5]])
def test_lengths_that_are_none_are_refused(lengths):
    with pytest.raises(ValueError, match="are not whole numbers that add up to the 10 samples"):
        data.random_split(list(range(10)), lengths)
