"""Captions of avatars: what can be said of a face, how it is said, and what a caption means.

    facts     of an image: glasses yes, glasses_colour blue, hat no, ...     read off its attributes and its pixels
    phrases   "blue glasses" -> glasses yes, glasses_colour blue             one table, for writing and for reading
    caption   phrases in any order: "smiling, blue glasses, long red hair"

A face is described by what is to be seen: the colour of hair under a hat is not said, nor that of glasses that are not
there. `write` chooses how many of the true phrases to say, which, and in which order; `read` finds the claims of a
caption. A combination of facts in HELD_OUT is in no image that is trained on (`unseen`), so that a model which draws it
has put it together from its parts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from .sets import Info

UNKNOWN = -1
"""The value of a fact that cannot be seen."""

HAT = {
    "black": ("2e1e05",),
    "blue": ("2663a3",),
    "green": ("3d8a6b",),
    "grey": ("989789",),
    "pink": ("cc6192",),
    "purple": ("614f8a",),
    "red": ("a62116",),
}
GLASSES = {
    "black": ("191919", "323232", "4b4b4b"),
    "blue": ("43677d",),
    "green": ("5f705c",),
    "red": ("a04b5d",),
}
HAIR = {
    "black": ("28150a",),
    "blonde": ("a78961", "cab188"),
    "blue": ("009bbd",),
    "brown": ("603015", "603a14", "611c17", "612616", "83623b"),
    "green": ("91cb15",),
    "red": ("bd1700",),
}
SKIN = {
    "pale": ("ffdbac", "f5cfa0"),
    "light": ("eac393", "e0b687"),
    "tan": ("cb9e6e", "b68655"),
    "dark": ("a26d3d", "8d5524"),
}
"""Word -> the colours that DiceBear draws with."""

NO_YES = ("no", "yes")
FACTS: dict[str, tuple[str, ...]] = {
    "glasses": NO_YES,
    "glasses_colour": tuple(GLASSES),
    "hat": NO_YES,
    "hat_colour": tuple(HAT),
    "beard": NO_YES,
    "length": ("bald", "short", "long"),
    "hair": tuple(HAIR),
    "smile": NO_YES,
    "skin": tuple(SKIN),
}
"""Fact -> its values, in the order of the columns of `facts`."""
NAMES = tuple(FACTS)

Claims = Mapping[str, str]

HELD_OUT: tuple[Claims, ...] = (
    {"hat": "yes", "glasses": "yes", "smile": "yes"},
    {"length": "long", "beard": "yes", "glasses": "yes"},
    {"hair": "brown", "length": "long", "skin": "dark"},
)
"""Combinations of facts that no image to train on has. Of each, any two are seen together: a pair that is never seen
teaches that the one excludes the other, and asking for both is then against all that was learnt."""

EXCLUDED: tuple[tuple[Claims, str], ...] = (
    ({"length": "bald", "hat": "yes"}, "a hat hides whether a head is bald"),
    *(({"length": "bald", "hair": colour}, "hair on a bald head has no colour to see") for colour in HAIR),
)
"""Claims that no face meets together, with the reason, beside two values of one fact."""


class Phrase(NamedTuple):
    """words: as they are said. claims: fact -> value. subject: what it is about; a caption says one phrase of each."""

    words: str
    claims: Claims
    subject: str


def _phrases() -> tuple[Phrase, ...]:
    rows = []
    for noun, names, colours in (("glasses", ("glasses", "spectacles"), GLASSES), ("hat", ("hat", "cap"), HAT)):
        for name in names:
            rows += [Phrase(f"no {name}", {noun: "no"}, noun), Phrase(name, {noun: "yes"}, noun)]
            rows += [Phrase(f"{c} {name}", {noun: "yes", f"{noun}_colour": c}, noun) for c in colours]
    for words in ("no beard", "beardless", "shaven"):
        rows.append(Phrase(words, {"beard": "no"}, "beard"))
    rows += [Phrase(words, {"beard": "yes"}, "beard") for words in ("beard", "bearded")]
    rows += [Phrase(words, {"smile": "yes"}, "smile") for words in ("smiling", "smile", "happy")]
    rows += [Phrase(words, {"smile": "no"}, "smile") for words in ("serious", "no smile", "not smiling")]
    rows.append(Phrase("bald", {"length": "bald"}, "hair"))
    for length in ("short", "long"):
        rows.append(Phrase(f"{length} hair", {"length": length}, "hair"))
        for colour in HAIR:
            claims = {"length": length, "hair": colour}
            rows += [Phrase(f"{a} {b} hair", claims, "hair") for a, b in ((length, colour), (colour, length))]
    rows += [Phrase(f"{colour} hair", {"hair": colour}, "hair") for colour in HAIR]
    rows += [Phrase(f"{tone} skin", {"skin": tone}, "skin") for tone in SKIN]
    return tuple(rows)


PHRASES = _phrases()
SUBJECTS = tuple(dict.fromkeys(row.subject for row in PHRASES))
SUBJECT_OF = {fact: row.subject for row in PHRASES for fact in row.claims}
"""Fact -> what it is about."""
TABLE: dict[tuple[str, ...], Phrase] = {tuple(row.words.split()): row for row in PHRASES}

_CLAIMED = np.array(
    [[FACTS[name].index(row.claims[name]) if name in row.claims else UNKNOWN for name in NAMES] for row in PHRASES]
)
WORDS = tuple(sorted({word for row in PHRASES for word in row.words.split()}))
"""The vocabulary; the number of a word is its place + 1, and 0 is no word."""
PHRASE = max(map(len, TABLE))
"""The words of the longest phrase."""
LENGTH = PHRASE * len(SUBJECTS)
"""The places for the words of a caption: PHRASE for each of as many phrases as there are subjects."""

SILENT = frozenset(["a", "an", "and", "the", "with", "wearing", "has", "face", "person", "of", "is"])
SAME = {"without": "no", "gray": "grey", "blond": "blonde", "fair": "blonde", "haired": "hair"}
"""Words that say nothing, and spellings of others."""

DRAWS = 1 + 2 * len(SUBJECTS)
"""How many random numbers `write` takes."""


# Facts of images.

HAT_ROWS, GLASSES_ROWS, SEEN_HAIR, NEAR = slice(0, 5), slice(4, 9), 8, 40.0
"""The rows of a 16 x 16 image where hats and glasses are; the pixels from which on hair is more than a tuft; how far a
pixel may be from a colour, as the length of (r, g, b)."""
OTHERS = ("ffffff", "ffdeb4", "f6d4aa", "ecc99e", "e3bd93", "d0a87d", "bd9267", "ab7c51", "99673b", "b2b2b2")
"""What else there is around them: the page, skin as it is drawn, glass."""
NEEDED = ("glasses", "beard", "hat", "long_hair", "smile", "skin", "hair")


def check(info: Info) -> None:
    """Raises ValueError for a data set whose attributes captions cannot be written of."""
    if not set(NEEDED) <= set(info.attributes) or info.shape[-1] != 3:
        raise ValueError(
            f"captions: data set {info.name!r} has no captions, which are written of colour images with the attributes"
            f" {', '.join(NEEDED)}; take avatars"
        )


def facts(images: np.ndarray, attributes: np.ndarray, info: Info) -> np.ndarray:
    """The values (N, len(FACTS)) of images (N, S, S, 3) of uint8 with the attributes (N, A) of the data set, UNKNOWN
    where there is nothing to see, or where the attribute is unknown (negative) itself.

    Raises ValueError for a data set without the attributes, and for a side that is no multiple of 16.
    """
    check(info)
    if images.shape[1] % 16 or images.shape[1] != images.shape[2]:
        raise ValueError(f"captions: images must be squares with a side that is a multiple of 16, got {images.shape}")
    step = images.shape[1] // 16
    values = {name: attributes[:, list(info.attributes).index(name)] for name in NEEDED}
    kinds = _kinds(images[:, ::step, ::step])
    rows = np.full((len(images), len(FACTS)), UNKNOWN)
    columns = dict(zip(NAMES, rows.T, strict=True))
    for name in ("glasses", "hat", "beard", "smile"):
        columns[name][:] = values[name]
    for name, colours, place in (("glasses", GLASSES, GLASSES_ROWS), ("hat", HAT, HAT_ROWS)):
        counts = np.stack([(kinds[:, place] == _number(name, word)).sum((1, 2)) for word in colours], 1)
        columns[f"{name}_colour"][:] = np.where((values[name] == 1) & counts.any(1), counts.argmax(1), UNKNOWN)
    hair = _grouped(values["hair"], info.attributes["hair"], HAIR)
    counts = np.stack([(kinds == _number("hair", word)).sum((1, 2)) for word in HAIR], 1)
    many = np.where(hair >= 0, np.take_along_axis(counts, hair.clip(0)[:, None], 1)[:, 0], counts.max(1))
    columns["hair"][:] = np.where(many >= SEEN_HAIR, hair, UNKNOWN)
    bald = (values["hat"] == 0) & (many < SEEN_HAIR)
    columns["length"][:] = np.select(
        [values["long_hair"] < 0, values["long_hair"] == 1, bald], [UNKNOWN, 2, 0], default=1
    )
    columns["skin"][:] = _grouped(values["skin"], info.attributes["skin"], SKIN)
    return rows


def _grouped(values: np.ndarray, hexes: Sequence[str], groups: Mapping[str, Sequence[str]]) -> np.ndarray:
    """The group of each value, which is one of `hexes`."""
    place = {colour: k for k, colours in enumerate(groups.values()) for colour in colours}
    table = np.array([place.get(text.lstrip("#"), UNKNOWN) for text in hexes])
    return np.where(values >= 0, table[values.clip(0)], UNKNOWN)


@cache
def _palette() -> tuple[np.ndarray, np.ndarray, dict[tuple[str, str], int]]:
    """(colours (K, 3), the number of what each is (K,), (thing, word) -> its number)."""
    colours, kinds = list[list[int]](), list[int]()
    numbers: dict[tuple[str, str], int] = {}
    for thing, words in (("hat", HAT), ("glasses", GLASSES), ("hair", HAIR), ("other", {"": OTHERS})):
        for word, hexes in words.items():
            numbers[thing, word] = len(numbers)
            colours += [list(bytes.fromhex(text)) for text in hexes]
            kinds += [numbers[thing, word]] * len(hexes)
    return np.array(colours, np.float64), np.array(kinds), numbers


def _number(thing: str, word: str) -> int:
    return _palette()[2][thing, word]


def _kinds(images: np.ndarray) -> np.ndarray:
    """What each pixel is (N, S, S) by the nearest colour, UNKNOWN where none is near."""
    colours, kinds, _ = _palette()
    codes, place = np.unique(images.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
    pixels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    nearest = np.empty(len(codes), np.int64)
    for i in range(0, len(codes), 4096):
        distance = np.linalg.norm(pixels[i : i + 4096, None] - colours, axis=2)
        nearest[i : i + 4096] = np.where(distance.min(1) <= NEAR, kinds[distance.argmin(1)], UNKNOWN)
    return nearest[place.reshape(-1)].reshape(images.shape[:3])


# Claims.


def true(claims: Claims, rows: np.ndarray) -> np.ndarray:
    """Whether each of the claims holds (N, len(claims)) for facts (N, F)."""
    columns = [rows[:, NAMES.index(name)] == FACTS[name].index(value) for name, value in claims.items()]
    return np.stack(columns, 1) if columns else np.ones((len(rows), 0), bool)


def unseen(rows: np.ndarray) -> np.ndarray:
    """Which of HELD_OUT the facts (N, F) are, UNKNOWN for those that are trained on."""
    which = np.full(len(rows), UNKNOWN)
    for k, claims in enumerate(HELD_OUT):
        which[true(claims, rows).all(1) & (which == UNKNOWN)] = k
    return which


# Captions.


@cache
def _sayable(values: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
    """Subject -> the phrases that are true of an image with these facts."""
    holds = ((_CLAIMED == UNKNOWN) | (np.array(values) == _CLAIMED)).all(1)
    table: dict[str, tuple[str, ...]] = {}
    for k in np.flatnonzero(holds):
        table[PHRASES[k].subject] = (*table.get(PHRASES[k].subject, ()), PHRASES[k].words)
    return table


def write(values: np.ndarray, draws: np.ndarray, claims: Claims | None = None) -> str:
    """A caption of an image with the facts (F,): 1 to all of its subjects in a drawn order and wording, `claims`, which
    must be true of it, among what it says. draws (DRAWS,): numbers in [0, 1)."""
    table, count, asked = _sayable(tuple(values.tolist())), len(SUBJECTS), dict(claims or {})
    order, wording = (dict(zip(SUBJECTS, draws[1 + k * count : 1 + (k + 1) * count], strict=True)) for k in range(2))
    first = {SUBJECT_OF[fact] for fact in asked}
    subjects = sorted(table, key=lambda subject: (subject not in first, order[subject]))
    phrases = []
    for subject in sorted(subjects[: max(len(first), 1 + int(draws[0] * len(subjects)))], key=order.__getitem__):
        own = {fact: value for fact, value in asked.items() if SUBJECT_OF[fact] == subject}
        words = [w for w in table[subject] if own.items() <= TABLE[tuple(w.split())].claims.items()]
        phrases.append(words[int(wording[subject] * len(words))])
    return ", ".join(phrases)


def words_of(text: str) -> list[str]:
    """The words of a caption that say something. Raises ValueError for one that is not known, with the nearest."""
    words = []
    for word in re.findall(r"[^\s,;.:!?\"'()-]+", text.lower()):
        word = SAME.get(word, word)
        if word in SILENT:
            continue
        if word not in WORDS:
            known = sorted({*WORDS, *SAME, *SILENT})
            near = difflib.get_close_matches(word, known, 1, 0.0)[0]
            raise ValueError(f"caption {text!r}: unknown word {word!r}; the nearest known word is {near!r}")
        words.append(word)
    return words


def phrases_of(text: str) -> list[Phrase]:
    """The phrases of a caption. Raises ValueError for an unknown word, words that make no phrase, a caption without
    phrases, and one of more than there are subjects."""
    words, phrases = words_of(text), list[Phrase]()
    if not words:
        raise ValueError(f"caption {text!r} says nothing of a face; say, for example, 'smiling, red hat, long hair'")
    while words:
        size = next((n for n in range(PHRASE, 0, -1) if tuple(words[:n]) in TABLE), 0)
        if not size:
            wrong = " ".join(words[:2])
            near = difflib.get_close_matches(wrong, [row.words for row in PHRASES], 1, 0.0)[0]
            raise ValueError(f"caption {text!r}: {wrong!r} says nothing; the nearest phrase is {near!r}")
        phrases.append(TABLE[tuple(words[:size])])
        words = words[size:]
    if len(phrases) > len(SUBJECTS):
        raise ValueError(f"caption {text!r} has {len(phrases)} phrases; at most {len(SUBJECTS)} are read")
    return phrases


def read(text: str) -> dict[str, str]:
    """The claims of a caption, fact -> value. Raises ValueError as `phrases_of`, and for claims that contradict each
    other."""
    claims, source = dict[str, str](), dict[str, str]()
    for phrase in phrases_of(text):
        for fact, value in phrase.claims.items():
            if claims.setdefault(fact, value) != value:
                raise ValueError(f"caption {text!r} contradicts itself: {source[fact]!r} and {phrase.words!r}")
            source[fact] = phrase.words
    for excluded, reason in EXCLUDED:
        if excluded.items() <= claims.items():
            parts = " and ".join(repr(source[fact]) for fact in excluded)
            raise ValueError(f"caption {text!r} contradicts itself: {parts}; {reason}")
    return claims


def claimed(texts: Sequence[str]) -> np.ndarray:
    """The values (N, len(FACTS)) that captions claim, UNKNOWN where they say nothing. Raises ValueError as `read`."""
    rows = np.full((len(texts), len(FACTS)), UNKNOWN)
    for row, text in zip(rows, texts, strict=True):
        for fact, value in read(text).items():
            row[NAMES.index(fact)] = FACTS[fact].index(value)
    return rows


def numbered(texts: Sequence[str]) -> np.ndarray:
    """The numbers of the words of captions (N, LENGTH): PHRASE places for each phrase, 0 where there is no word. Raises
    ValueError as `phrases_of`."""
    rows = np.zeros((len(texts), len(SUBJECTS), PHRASE), np.int64)
    for row, text in zip(rows, texts, strict=True):
        for place, phrase in zip(row, phrases_of(text), strict=False):
            words = phrase.words.split()
            place[: len(words)] = [WORDS.index(word) + 1 for word in words]
    return rows.reshape(len(texts), LENGTH)


def imagined(draws: np.ndarray) -> np.ndarray:
    """Facts (N, F) of faces that nobody has drawn, none of a combination in HELD_OUT, for draws (N, F) in [0, 1)."""
    sizes = np.array([len(values) for values in FACTS.values()])
    rows = (draws * sizes).astype(np.int64)
    column = {name: k for k, name in enumerate(NAMES)}
    hat, bald = rows[:, column["hat"]] == 1, FACTS["length"].index("bald")
    rows[hat & (rows[:, column["length"]] == bald), column["length"]] = FACTS["length"].index("short")
    rows[rows[:, column["length"]] == bald, column["hair"]] = UNKNOWN
    for claims in HELD_OUT:
        rows[true(claims, rows).all(1), column[list(claims)[-1]]] = 0
    for name in ("glasses", "hat"):
        rows[rows[:, column[name]] == 0, column[f"{name}_colour"]] = UNKNOWN
    return rows
