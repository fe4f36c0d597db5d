"""Captions: what is read off an image, what a caption says of it, and what a caption means."""

from collections import Counter

import numpy as np
import pytest
from worlds import CAPTIONED, FACTS, face

from minigan.data import captions

RNG = np.random.default_rng(0)
SHOWN = captions.facts(CAPTIONED.images, CAPTIONED.attributes, CAPTIONED.info)
CONFLICT = "contradicts itself"


def value(row: int, fact: str) -> str | None:
    k = SHOWN[row, captions.NAMES.index(fact)]
    return None if k == captions.UNKNOWN else captions.FACTS[fact][k]


def test_facts_are_read_off_attributes_and_pixels():
    for row, facts in enumerate(FACTS):
        for fact, expected in facts.items():
            assert value(row, fact) == expected, (row, fact)


def test_what_is_not_to_be_seen_is_not_known():
    """No colour of a hat or of glasses that are not there, nor of hair that a bald head has not."""
    assert value(2, "hat_colour") is None and value(2, "glasses_colour") is None
    assert value(1, "hair") is None and value(1, "length") == "bald"
    blind = captions.facts(CAPTIONED.images, np.full_like(CAPTIONED.attributes, -1), CAPTIONED.info)
    columns = [captions.NAMES.index(name) for name in ("glasses", "hat", "beard", "length", "smile", "skin")]
    assert (blind[:, columns] == captions.UNKNOWN).all()


@pytest.mark.parametrize("thing", ["hat", "glasses", "hair"])
def test_every_colour_has_its_word(thing):
    words = captions.FACTS["hair" if thing == "hair" else f"{thing}_colour"]
    for k, word in enumerate(words):
        facts = {"hair": word} if thing == "hair" else {thing: "yes", f"{thing}_colour": word}
        image, values = face(facts)
        row = captions.facts(image[None], np.array([values]), CAPTIONED.info)[0]
        assert row[captions.NAMES.index("hair" if thing == "hair" else f"{thing}_colour")] == k, word


def test_larger_images_are_read_alike():
    large = CAPTIONED.images.repeat(2, 1).repeat(2, 2)
    assert np.array_equal(captions.facts(large, CAPTIONED.attributes, CAPTIONED.info), SHOWN)


def test_other_data_sets_have_no_captions():
    from worlds import FACES, WORLD

    for dataset in (WORLD, FACES):
        with pytest.raises(ValueError, match="has no captions"):
            captions.check(dataset.info)


def test_a_caption_is_true_of_its_image_and_reads_as_what_it_says():
    texts = Counter()
    for row in SHOWN:
        for draws in RNG.random((60, captions.DRAWS)):
            text = captions.write(row, draws)
            assert captions.true(captions.read(text), row[None]).all(), text
            assert len(captions.phrases_of(text)) <= len(captions.SUBJECTS)
            texts[text.count(",")] += 1
    assert set(texts) == set(range(len(captions.SUBJECTS))), "from one subject to all of them"


def test_a_caption_has_many_orders_and_wordings():
    row = SHOWN[0]
    texts = [captions.write(row, draws) for draws in RNG.random((300, captions.DRAWS))]
    assert len({text.split(", ")[0] for text in texts}) > 15
    assert {"red hat", "red cap", "hat", "cap"} <= {part for text in texts for part in text.split(", ")}


def test_what_must_be_said_is_said():
    for k, claims in enumerate(captions.HELD_OUT):
        for draws in RNG.random((20, captions.DRAWS)):
            read = captions.read(captions.write(SHOWN[6 + k], draws, claims))
            assert claims.items() <= read.items()


def test_what_is_held_out_is_known_by_its_facts_alone():
    assert captions.unseen(SHOWN[:9]).tolist() == [-1] * 6 + [0, 1, 2]
    imagined = captions.imagined(RNG.random((3000, len(captions.FACTS))))
    assert (captions.unseen(imagined) == captions.UNKNOWN).all()
    for row in imagined[:200]:
        captions.read(captions.write(row, np.full(captions.DRAWS, 0.99)))  # no two claims contradict each other


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("bald, blue glasses", {"length": "bald", "glasses": "yes", "glasses_colour": "blue"}),
        ("smiling, red hat, long hair", {"smile": "yes", "hat": "yes", "hat_colour": "red", "length": "long"}),
        ("A person wearing a RED cap, with long blond hair!", {"hat_colour": "red", "hat": "yes", "hair": "blonde",
         "length": "long"}),
        ("red long hair", {"hair": "red", "length": "long"}),
        ("without a beard; no hat", {"beard": "no", "hat": "no"}),
        ("red hat hat", {"hat": "yes", "hat_colour": "red"}),
        ("long-haired and dark skin", {"length": "long", "skin": "dark"}),
    ],
)  # fmt: skip
def test_captions_of_a_person_are_understood(text, claims):
    assert captions.read(text) == claims


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smilling", "unknown word 'smilling'; the nearest known word is 'smiling'"),
        ("a purpel hat", "unknown word 'purpel'; the nearest known word is 'purple'"),
        ("7", "unknown word '7'; the nearest known word is"),
        ("purple hair", "'purple hair' says nothing; the nearest phrase is 'purple hat'"),
        ("hair", "says nothing; the nearest phrase is"),
        ("red", "'red' says nothing; the nearest phrase is 'red hat'"),
        ("bald, long hair", f"{CONFLICT}: 'bald' and 'long hair'"),
        ("no hat, red hat", f"{CONFLICT}: 'no hat' and 'red hat'"),
        ("red hat, blue cap", f"{CONFLICT}: 'red hat' and 'blue cap'"),
        ("blue hat, bald", f"{CONFLICT}: 'bald' and 'blue hat'; a hat hides"),
        ("bald, red hair", f"{CONFLICT}: 'bald' and 'red hair'; hair on a bald head"),
        ("smiling, serious", f"{CONFLICT}: 'smiling' and 'serious'"),
        ("", "says nothing of a face"),
        ("a person with", "says nothing of a face"),
        ("hat " * 40, "has 40 phrases; at most 6 are read"),
    ],
)
def test_what_cannot_be_drawn_is_answered_in_one_line(text, said):
    with pytest.raises(ValueError) as error:
        captions.read(text)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_every_word_has_a_number_of_its_own():
    """0 stands for no word, so a phrase's end is known; words of one meaning have one number."""
    numbers = {}
    for phrase, row in zip(captions.PHRASES, captions.numbered([row.words for row in captions.PHRASES]), strict=True):
        words = phrase.words.split()
        assert not row[len(words) :].any()
        for word, number in zip(words, row, strict=False):
            assert numbers.setdefault(word, number) == number
    assert sorted(numbers.values()) == list(range(1, len(captions.WORDS) + 1))
    assert np.array_equal(*captions.numbered(["without hat", "no hat"]))


def test_a_phrase_has_places_of_its_own():
    """Whether or not a comma parts it from the next."""
    a, b, c = captions.numbered(["red hat, bald", "red hat bald", "bald, red hat"]).reshape(3, -1, captions.PHRASE)
    assert np.array_equal(a, b) and np.array_equal(a[[1, 0]], c[:2]) and not a[2:].any()
    assert (a[:2] > 0).sum(1).tolist() == [2, 1]
