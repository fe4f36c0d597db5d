"""The table of data sets: what each holds, under which licence, and where its files are published.

The digests are of the DECOMPRESSED bytes wherever those are published, since re-compressed copies
exist (Debian's Fashion-MNIST). A set whose digest is not known is never downloaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class File:
    """One published file: mirrors in the order they are tried, and what its content must be.

    sha256: of the decompressed bytes for a .gz, of the file itself otherwise. md5: of the file as
    published, used where no sha256 is. most: bytes beyond which the decompressed file is refused.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str = ""
    md5: str = ""
    most: int = 64 << 20


@dataclass(frozen=True)
class Info:
    """What is known of a data set before it is read; one row of the table `DATASETS`.

    `class_names` names the values of `labels`; `attributes` maps the columns of the attribute
    matrix to the names of their values. A set has either, or both. `background` is the grey level
    that pads a smaller image to a larger size. `held_out` images are kept from training.
    `pair_names` names the columns of the held-out true pairs. `kind` says which reader reads it
    (sources.py); `files` are downloaded in their order; `manual` says what a user has to do
    where a licence forbids a download. A reader that finds only a part of a set says so in the
    row of the data set it returns.
    """

    name: str
    description: str
    licence: str
    count: int
    shape: tuple[int, int, int]
    held_out: int
    background: int
    class_names: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pair_names: tuple[str, ...] = ()
    kind: str = "embedded"
    files: tuple[File, ...] = ()
    manual: str = ""


_NO_YES = ("no", "yes")
_SKIN = "#ffdbac #f5cfa0 #eac393 #e0b687 #cb9e6e #b68655 #a26d3d #8d5524"
_HAIR = "#009bbd #28150a #603015 #603a14 #611c17 #612616 #83623b #91cb15 #a78961 #bd1700 #cab188"
_UPPER = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CATEGORIES = (
    "Smileys & Emotion;People & Body;Animals & Nature;Food & Drink;Travel & Places;Activities;Objects;Symbols;Flags"
)
_GARMENTS = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_CIFAR = "airplane automobile bird cat deer dog frog horse ship truck"

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _idx(mirrors: tuple[str, ...], sha256: str = "", md5: str = "") -> tuple[File, ...]:
    """The four files of a set laid out like MNIST; digests in the order of IDX_NAMES."""
    sha, md = sha256.split() or [""] * 4, md5.split() or [""] * 4
    return tuple(
        File(f"{name}.gz", tuple(f"{m}{name}.gz" for m in mirrors), s, d)
        for name, s, d in zip(IDX_NAMES, sha, md, strict=True)
    )


def _cyclegan(name: str, a: str, b: str, count: int, held_out: int, sha256: str) -> Info:
    hosts = (
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/",
        "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
    )
    return Info(
        name=name,
        description=f"unpaired photographs of CycleGAN (Zhu et al. 2017): {a} (A) and {b} (B)",
        licence="as published by the CycleGAN authors: research use; photographs from ImageNet and Flickr",
        count=count,
        shape=(64, 64, 3),
        held_out=held_out,
        background=255,
        class_names=(a, b),
        kind="cyclegan",
        files=(File(f"{name}.zip", tuple(f"{h}{name}.zip" for h in hosts), sha256, most=2 << 30),),
    )


_ROWS = (
    Info(
        name="digits",
        description="handwritten digits: the 10,000 images of the MNIST test split",
        licence="CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
        count=10_000,
        shape=(28, 28, 1),
        held_out=1_000,
        background=0,
        class_names=tuple("0123456789"),
    ),
    Info(
        name="avatars",
        description="pixel-art faces drawn by DiceBear, with exact attributes",
        licence="CC0 1.0",
        count=9_000,
        shape=(16, 16, 3),
        held_out=1_000,
        background=255,
        attributes={
            "glasses": _NO_YES,
            "beard": _NO_YES,
            "hat": _NO_YES,
            "long_hair": _NO_YES,
            "smile": _NO_YES,
            "skin": tuple(_SKIN.split()),
            "hair": tuple(_HAIR.split()),
        },
    ),
    Info(
        name="emoji",
        description="emoji drawn by two vendors, without skin tones; true pairs are held out",
        licence="twemoji: CC BY 4.0, Twitter and contributors; openmoji: CC BY-SA 4.0, openmoji.org",
        count=2_040,
        shape=(32, 32, 3),
        held_out=408,
        background=255,
        class_names=("twemoji", "openmoji"),
        attributes={"category": tuple(_CATEGORIES.split(";"))},
        pair_names=("twemoji", "openmoji"),
        kind="emoji",
    ),
    Info(
        name="glyphs",
        description="capital letters in many fonts, white on black; true pairs regular to bold are held out",
        licence="free font licences, see minigan/assets/NOTICE.md",
        count=6_344,
        shape=(32, 32, 1),
        held_out=1_248,
        background=0,
        class_names=_UPPER,
        attributes={"style": ("sans", "serif", "mono", "script", "display"), "bold": _NO_YES, "italic": _NO_YES},
        pair_names=("regular", "bold"),
        kind="glyphs",
    ),
    Info(
        name="stacked",
        description="three of the digits stacked as the channels of one image; its class is the number they spell",
        licence="CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
        count=40_000,
        shape=(28, 28, 3),
        held_out=4_000,
        background=0,
        class_names=tuple(f"{k:03d}" for k in range(1000)),
        kind="stacked",
    ),
    Info(
        name="mnist",
        description="handwritten digits; the published test split is held out",
        licence="CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
        count=70_000,
        shape=(28, 28, 1),
        held_out=10_000,
        background=0,
        class_names=tuple("0123456789"),
        kind="idx",
        files=_idx(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            " 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            " 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            " ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    Info(
        name="fashion_mnist",
        description="garments; the published test split is held out",
        licence="MIT, Zalando SE",
        count=70_000,
        shape=(28, 28, 1),
        held_out=10_000,
        background=0,
        class_names=tuple(_GARMENTS.split(",")),
        kind="idx",
        files=_idx(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            " bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            " 5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            " 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    Info(
        name="kmnist",
        description="cursive Japanese characters; the published test split is held out",
        licence="CC BY-SA 4.0, Center for Open Data in the Humanities",
        count=70_000,
        shape=(28, 28, 1),
        held_out=10_000,
        background=0,
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        kind="idx",
        files=_idx(
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            md5="bdb82020997e1d708af4cf47b453dcf7 e144d726b3acfaa3e44228e80efcd344"
            " 5c965bf0a639b31b8f53240b1b52f4d7 7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    Info(
        name="cifar10",
        description="small photographs of ten things; the published test split is held out",
        licence="none stated by its author, Alex Krizhevsky; cite Learning Multiple Layers of Features (2009)",
        count=60_000,
        shape=(32, 32, 3),
        held_out=10_000,
        background=0,
        class_names=tuple(_CIFAR.split()),
        kind="cifar10",
        files=(
            File(
                "cifar-10-python.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                most=256 << 20,
            ),
        ),
    ),
    Info(
        name="flowers",
        description="photographs of five flowers",
        licence="CC BY 2.0 for each photograph; the credits are in the archive's LICENSE.txt",
        count=3_670,
        shape=(32, 32, 3),
        held_out=367,
        background=255,
        class_names=("daisy", "dandelion", "roses", "sunflowers", "tulips"),
        kind="flowers",
        files=(
            File(
                "flower_photos.tgz",
                ("http://download.tensorflow.org/example_images/flower_photos.tgz",),
                "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
                most=512 << 20,
            ),
        ),
    ),
    _cyclegan(
        "horse2zebra", "horse", "zebra", 2_661, 260, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1"
    ),
    _cyclegan(
        "apple2orange",
        "apple",
        "orange",
        2_528,
        514,
        "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
    ),
    _cyclegan(
        "monet2photo",
        "monet",
        "photo",
        8_231,
        872,
        "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
    ),
    Info(
        name="celeba",
        description="photographs of celebrities' faces, read from a folder of yours",
        licence="non-commercial research only (its own agreement)",
        count=202_599,
        shape=(64, 64, 3),
        held_out=20_260,
        background=255,
        kind="celeba",
        manual="its terms forbid others to hand it out: read and accept them at"
        " https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, fetch img_align_celeba.zip there, unpack it, and give"
        " the folder: minigan data celeba --path FOLDER",
    ),
)
DATASETS: dict[str, Info] = {row.name: row for row in _ROWS}
EMBEDDED = ("digits", "avatars", "emoji", "glyphs", "stacked")


def unknown(name: object) -> ValueError:
    """The error for a name that is no data set; it names the known sets and the nearest match."""
    near = difflib.get_close_matches(str(name), DATASETS, n=1, cutoff=0.5)
    if isinstance(name, str) and Path(name).is_dir():
        near = [f"folder:{name}"]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown data set {name!r}{hint} (known sets: {', '.join(DATASETS)}, or folder:PATH)")
