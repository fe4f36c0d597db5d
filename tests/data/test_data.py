"""The embedded sets are what they say, their split never moves, and the loader's order is a
function of (seed, step) alone."""

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import data
from minigan.data import DATASETS, EMBEDDED, Dataset, Loader
from minigan.data import readers as data_readers
from minigan.data import sources as data_sources


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def avatars() -> Dataset:
    return data.load("avatars")


def sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def numbered(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that carry their own index in their first two pixels, and the indices as targets."""
    images = np.zeros((count, 2, 3, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.divmod(np.arange(count), 256)
    return images, np.arange(count)


def indices(images: np.ndarray) -> np.ndarray:
    levels = data.to_uint8(images).astype(int)
    return levels[:, 0, 0, 0] * 256 + levels[:, 0, 1, 0]


# The sets


def test_digits_are_the_canonical_mnist_test_split(digits):
    # SHA-256 of the two uncompressed idx files as MNIST publishes them, header included.
    images = sha256(struct.pack(">4i", 2051, 10_000, 28, 28), digits.images.tobytes())
    labels = sha256(struct.pack(">2i", 2049, 10_000), digits.labels.astype(np.uint8).tobytes())
    assert images == "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    assert labels == "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    assert "test split" in digits.info.description


def test_avatars_are_unchanged(avatars):
    assert sha256(avatars.images.tobytes()) == "11112ae225cc2e58aa0a41bd8f907476656e6f4f70e317d51082f13c384c87b6"
    assert sha256(avatars.attributes.astype(np.uint8).tobytes()) == (
        "688b1daa9838f5b1e692759d150c3a2457daedd2ab26424c43598cebb36e7b3e"
    )


def test_avatar_skin_is_the_colour_it_names(avatars):
    # The tone occurs in the 95 % of faces that no overlay tints, and no other tone ever does.
    tones = [tuple(bytes.fromhex(c[1:])) for c in avatars.info.attributes["skin"]]
    there = np.stack([(avatars.images == tone).all(-1).any((1, 2)) for tone in tones], axis=1)
    skin = np.eye(8, dtype=bool)[avatars.attributes[:, 5]]
    assert list(avatars.info.attributes)[5] == "skin"
    assert (there & skin).sum() > 0.94 * len(skin)
    assert not (there & ~skin).any()


@pytest.mark.parametrize("name", EMBEDDED)
def test_table_row_describes_the_arrays(name):
    dataset, info = data.load(name), DATASETS[name]
    assert dataset.images.shape == (info.count, *info.shape)
    assert dataset.images.dtype == np.uint8
    assert len(dataset.targets) == info.count
    assert info.licence and info.description
    if dataset.labels is not None:
        assert set(dataset.labels) == set(range(len(info.class_names)))
    if dataset.attributes is not None:
        assert dataset.attributes.shape == (info.count, len(info.attributes))
        for column, values in zip(dataset.attributes.T, info.attributes.values(), strict=True):
            if name != "emoji":  # which keeps the numbers of all nine categories
                assert set(column) == set(range(len(values)))
            assert 0 <= column.min() <= column.max() < len(values)


@pytest.mark.parametrize(
    "name, limit", [("digits", 1_700_000), ("avatars", 800_000), ("emoji", 1_700_000), ("glyphs", 920_000)]
)
def test_assets_stay_small(name, limit):
    assert (data.ASSETS / f"{name}.npz").stat().st_size < limit


@pytest.mark.parametrize("name", EMBEDDED)
def test_split_is_a_partition_and_stratified(name):
    dataset = data.load(name)
    together = np.concatenate([dataset.train, dataset.held_out])
    assert np.array_equal(np.sort(together), np.arange(dataset.info.count))
    assert len(dataset.held_out) == dataset.info.held_out == DATASETS[name].held_out
    if name == "digits" and dataset.labels is not None:
        share = np.bincount(dataset.labels) / 10
        assert (abs(np.bincount(dataset.labels[dataset.held_out]) - share) <= 1).all()


def test_the_validation_half_has_the_first_of_every_two():
    """Of held-out digits, class by class: figures that were chosen on one half must not be reported on it later."""
    whole = data.load("digits")
    order = np.concatenate([whole.held_out[whole.labels[whole.held_out] == label] for label in range(10)])
    for part, places in (("validation", order[::2]), ("test", order[1::2])):
        np.testing.assert_array_equal(whole.half(part).held_out, np.sort(places))


@pytest.mark.parametrize("name", ["digits", "avatars", "emoji", "glyphs"])
def test_the_halves_of_the_held_out_images(name):
    """They part the held-out images, tear no pair apart, and have each class about as often."""
    whole = data.load(name)
    halves = [whole.half(part) for part in ("validation", "test")]
    np.testing.assert_array_equal(np.sort(np.concatenate([h.held_out for h in halves])), whole.held_out)
    assert np.ptp([len(h.held_out) for h in halves]) <= 2
    for half in halves:
        assert half.train is whole.train
        assert half.pairs is None or np.isin(half.pairs, half.held_out).all()
        if whole.labels is not None:
            counts = [np.bincount(whole.labels[x], minlength=26) for x in (half.held_out, whole.held_out)]
            assert np.abs(2 * counts[0] - counts[1]).max() <= 3
    if whole.pairs is not None:
        np.testing.assert_array_equal(np.sort(np.concatenate([h.pairs for h in halves]), 0), np.sort(whole.pairs, 0))
    with pytest.raises(ValueError, match="half: part 'tests' is not validation or test"):
        whole.half("tests")


def test_split_never_moves(digits, avatars):
    # Models and scores from different days are comparable only on the same held-out images.
    assert sha256(digits.held_out.astype("<i8").tobytes()) == (
        "93d6f8d31648f204b2b5e3eb57e056f54058030a3387fb6a0ce307d9bc5a4057"
    )
    assert np.array_equal(avatars.held_out, np.arange(8, 9_000, 9))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.data())
def test_split_property(labels, draw):
    held_out = draw.draw(st.integers(1, len(labels)))
    train, rest = data.split(len(labels), held_out, np.array(labels))
    assert len(rest) == held_out
    assert sorted([*train, *rest]) == list(range(len(labels)))
    given, taken = (np.bincount(np.array(labels)[rows], minlength=4) for rows in (range(len(labels)), rest))
    assert (abs(taken - given * held_out / len(labels)) < 1 + 1e-9).all()  # to within one image
    _, alike = data.split(len(labels), held_out)  # without labels: evenly over the file, its end too
    gaps = np.diff([-1, *alike])
    assert gaps.max() - gaps.min() <= 1 and alike[-1] == len(labels) - 1


@pytest.mark.parametrize(
    "name, parts",
    [("digit", ["'digit'", "did you mean 'digits'", "avatars"]), ("zzz", ["digits, avatars"])],
)
def test_unknown_name(name, parts):
    with pytest.raises(ValueError) as caught:
        data.load(name)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("keep", [0, 100, 700_000])
def test_damaged_asset_is_named(tmp_path, monkeypatch, keep):
    whole = (data.ASSETS / "avatars.npz").read_bytes()
    (tmp_path / "avatars.npz").write_bytes(whole[:keep])
    for module in (data_readers, data_sources):
        monkeypatch.setattr(module, "ASSETS", tmp_path)
    with pytest.raises(ValueError, match=r"cannot read .*avatars\.npz.*reinstall"):
        data.load("avatars")


# Pixels


def test_every_grey_level_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 8, 16, 2)
    unit = data.to_unit(levels)
    assert unit.dtype == np.float32 and unit.min() == -1 and unit.max() == 1
    assert np.array_equal(data.to_uint8(unit), levels)


def test_to_unit_is_a_view_of_nhwc_memory():
    levels = np.zeros((5, 4, 3, 2), np.uint8)[::-1, :, ::-1]
    unit = data.to_unit(levels)
    assert unit.shape == (5, 2, 4, 3)
    assert unit.transpose(0, 2, 3, 1).flags.c_contiguous


def test_to_uint8_rounds_and_clips():
    values = np.array([-7, -1, 0.5 / 127.5 - 1 - 1e-4, 0.5 / 127.5 - 1 + 1e-4, 1, 7])
    assert data.to_uint8(values.reshape(1, 1, 1, 6)).ravel().tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: data.to_unit(np.zeros((2, 3, 3), np.uint8)), r"to_unit: .*uint8 \(2, 3, 3\)"),
        (lambda: data.to_unit(np.zeros((2, 3, 3, 1))), "to_unit: .*got float64"),
        (lambda: data.to_uint8(np.zeros((2, 1, 3, 3), int)), "to_uint8: .*got int64"),
        (lambda: data.to_uint8(np.full((2, 1, 3, 3), np.nan)), "to_uint8: 18 of 18 .*not finite"),
        (lambda: data.resize(np.zeros((1, 28, 20, 1)), 16), "resize: .*28x20.*16.*>= 28"),
    ],
)
def test_bad_pixels(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 20), st.sampled_from([0, 255]))
def test_resize_keeps_the_picture_in_a_frame_of_background(h, w, size, background):
    images = np.random.default_rng(0).integers(1, 255, (2, h, w, 3), np.uint8)
    size = max(size, h, w)
    factor = size // max(h, w)
    resized = data.resize(images, size, background)
    assert resized.shape == (2, size, size, 3)
    y, x = (size - h * factor) // 2, (size - w * factor) // 2
    inside = resized[:, y : y + h * factor, x : x + w * factor]
    assert np.array_equal(inside, np.kron(images, np.ones((1, factor, factor, 1), np.uint8)))
    assert (resized == background).sum() == resized.size - inside.size


# The loader


@settings(deadline=None)  # the first example may compile a kernel
@given(st.integers(1, 40), st.data(), st.integers(0, 2**40), st.booleans())
def test_an_epoch_holds_each_image_at_most_once(count, draw, seed, drop_last):
    size = draw.draw(st.integers(1, count))
    loader = Loader(numbered(count), size, seed, drop_last=drop_last)
    for epoch in range(2):
        steps = range(epoch * loader.steps_per_epoch, (epoch + 1) * loader.steps_per_epoch)
        batches = [loader.batch(step) for step in steps]
        rows = np.concatenate([indices(images) for images, _ in batches])
        assert np.array_equal(rows, np.concatenate([targets for _, targets in batches]))
        assert len(set(rows)) == len(rows) == (count - count % size if drop_last else count)


def test_order_depends_on_seed_and_epoch_only():
    def epochs(loader: Loader) -> list[list[int]]:
        return [indices(loader.batch(epoch)[0]).tolist() for epoch in range(3)]

    orders = epochs(Loader(numbered(500), 500, seed=0)) + epochs(Loader(numbered(500), 500, seed=1))
    assert len({tuple(order) for order in orders}) == 6
    assert orders[:3] == epochs(Loader(numbered(500), 500, seed=0))
    share = np.mean([np.arange(500) != order for order in orders])
    assert share > 0.98  # a random order leaves one image in 500 in place


def test_order_is_the_same_on_every_machine(digits):
    assert Loader(digits, 64, seed=0).batch(1000)[1][:12].tolist() == [
        1, 8, 8, 2, 7, 7, 3, 3, 7, 4, 4, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("drop_last", [True, False])
def test_any_step_in_any_order(drop_last):
    loader = Loader(numbered(23), 5, 7, drop_last=drop_last)
    in_order = [next(loader)[1].tolist() for _ in range(17)]
    fresh = Loader(numbered(23), 5, 7, drop_last=drop_last)
    for step in np.random.default_rng(0).permutation(17):
        assert fresh.batch(int(step))[1].tolist() == in_order[step]
    assert fresh.step == 0


@pytest.mark.parametrize("stop", [0, 3, 4, 11])
def test_resume_in_mid_epoch(stop):
    uninterrupted = Loader(numbered(23), 5, 7)
    expected = [next(uninterrupted)[1].tolist() for _ in range(20)]
    first = Loader(numbered(23), 5, 7)
    got = [next(first)[1].tolist() for _ in range(stop)]
    second = Loader(numbered(23), 5, 7)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    got += [next(second)[1].tolist() for _ in range(20 - stop)]
    assert got == expected
    assert second.state_dict() == uninterrupted.state_dict()


@pytest.mark.parametrize(
    "other, key",
    [
        (Loader(numbered(23), 5, 8), "seed 8"),
        (Loader(numbered(23), 4, 7), "batch_size 4|steps_per_epoch 5"),
        (Loader(numbered(24), 5, 7), "count 24"),
        (Loader(numbered(23), 5, 7, drop_last=False), "steps_per_epoch 5"),
    ],
)
def test_a_state_of_another_order_is_refused(other, key):
    with pytest.raises(ValueError, match=key):
        Loader(numbered(23), 5, 7).load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="keys"):
        Loader(numbered(23), 5, 7).load_state_dict({"step": 3})


def test_a_dataset_gives_its_training_split(digits):
    loader = Loader(digits, 1_000, 3)
    assert loader.steps_per_epoch == 9
    batches = [loader.batch(step) for step in range(9)]
    epoch = np.concatenate([data.to_uint8(images) for images, _ in batches])
    expected = digits.images[digits.train]
    assert sorted(map(bytes, epoch)) == sorted(map(bytes, expected))
    labels = np.concatenate([labels for _, labels in batches])
    assert np.array_equal(np.bincount(labels), np.bincount(digits.labels[digits.train]))


def test_sizes_and_layout(digits, avatars):
    images, labels = Loader(digits, 16, 0, size=32).batch(0)
    assert images.shape == (16, 1, 32, 32) and images.dtype == np.float32
    assert labels.shape == (16,)
    assert (images[:, :, :2] == -1).all() and (images[:, :, :, -2:] == -1).all()
    images, attributes = Loader(avatars, 16, 0, size=36).batch(0)
    assert images.shape == (16, 3, 36, 36) and attributes.shape == (16, 7)
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert (images[:, :, :2] == 1).all()  # the avatars' background is white
    assert np.array_equal(images[:, :, 2:34:2, 2:34:2], images[:, :, 3:34:2, 3:34:2])


def test_arrays_of_either_kind():
    levels, _ = numbered(10)
    from_bytes = Loader(levels, 4, 5, size=7).batch(2)
    from_floats = Loader(data.to_unit(levels).astype(np.float64), 4, 5, size=7).batch(2)
    flat = Loader(levels[..., 0], 4, 5, size=7).batch(2)
    assert from_bytes[1] is None
    assert np.array_equal(from_bytes[0], from_floats[0])
    assert np.array_equal(from_bytes[0], flat[0])
    assert from_floats[0].dtype == np.float32


BAD = np.zeros((4, 3, 3, 1), np.uint8)
FLOATS = np.zeros((4, 1, 3, 3), np.float32)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Loader(BAD[:0], 1, 0), r"no images \(shape \(0, 3, 3, 1\)\)"),
        (lambda: Loader(BAD, 5, 0), "batch size 5 .* 4"),
        (lambda: Loader(BAD, 0, 0), "batch size 0"),
        (lambda: Loader(BAD.astype(int), 2, 0), "got int64"),
        (lambda: Loader(BAD[0, 0], 2, 0), r"got uint8 \(3, 1\)"),
        (lambda: Loader(BAD.astype(object), 2, 0), "got object"),
        (lambda: Loader(FLOATS + np.inf, 2, 0), "36 of 36 values are not finite"),
        (lambda: Loader(FLOATS + 200, 2, 0), r"\[200, 200\], expected \[-1, 1\]"),
        (lambda: Loader((BAD, np.zeros(3)), 2, 0), r"4 images but targets of shape \(3,\)"),
        (lambda: Loader((BAD, np.zeros(())), 2, 0), "targets of shape"),
        (lambda: Loader(BAD, 2, 0, size=2), "larger than size 2"),
        (lambda: Loader(BAD, 2, 0).batch(-1), "step -1 is negative"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()
