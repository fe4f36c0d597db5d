"""Arithmetic on latents: glasses - plain + hat (Radford et al. 2016, section 6.3.2).

    z' = z + sum over the other terms of +- mean of z(term),      z one of those of the first term

A term is a group of latents: those whose images a judge reads so, or the codes of training images that are so, where
the system has an encoder. Its mean holds what they share, since what else they show cancels. Radford et al. add means
of three latents; here the first term's latents are taken one by one, so that there are many results, and a share of
them that shows what was asked for.

What is asked for is what the terms come to: each value counts +1 or -1 for its term's sign, and those above 0 remain.
glasses - plain + hat asks for glasses and a hat. Null model: a random vector of the same length, added to the same z.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...autograd import Tensor
from ...backend import Generator
from ..losses import nearest
from ..metrics.classifier import prepared
from ..train import SAMPLE_STREAM, Trainer
from .space import Space, draws, space_of
from .standing import Scale, Study
from .targets import Condition, Reader, Target, target

PLAIN = "plain"
NO_YES = ("no", "yes")
MEMBERS, ROUNDS, BATCH = 5, 20, 1000
"""Fewer latents make no mean; latents are drawn and read by the thousand, 20 times at most."""


@dataclass(frozen=True)
class Term:
    """One group of an expression: its sign, its words, and the conditions that its images meet, all of them."""

    sign: int
    text: str
    conditions: tuple[Condition, ...]

    def members(self, labels: dict[str, np.ndarray]) -> np.ndarray:
        """Which of N images with these values (N,) are of the group."""
        return np.all([labels[c.factor] == c.value for c in self.conditions], 0)


def expression(text: str, reader: Reader) -> tuple[Term, ...]:
    """The terms of `glasses - plain + hat`.

    A term is one or several words parted by commas: `hat=no`, the name of an attribute for its "yes", a value that one
    factor alone has (`serif`, `7`), or `plain`, all such attributes "no". Raises ValueError, with what would fit.
    """
    parts = re.split(r"\s+([+-])\s+", f" + {text.strip()}" if not re.match(r"\s*[+-]\s", text) else f" {text.strip()}")
    if not text.strip() or parts[0].strip() or any(not part.strip() for part in parts[2::2]):
        raise ValueError(f"{text!r}: write terms with + and - between, as in 'glasses - plain + hat'")
    terms = []
    for sign, words in zip(parts[1::2], parts[2::2], strict=True):
        conditions = tuple(c for word in words.split(",") for c in meaning(word.strip(), reader))
        terms.append(Term(1 if sign == "+" else -1, words.strip(), conditions))
    if terms[0].sign > 0 and len(terms) == 1:
        raise ValueError(f"{text!r} is one group alone; add something to it or take it away: 'glasses - plain + hat'")
    return tuple(terms)


def meaning(word: str, reader: Reader) -> tuple[Condition, ...]:
    """What one word asks for. Raises ValueError, with the words there are, for another."""
    if "=" in word:
        return (reader.condition(word),)
    switches = [name for name, values in reader.factors.items() if values == NO_YES]
    if word == PLAIN and switches:
        return tuple(reader.condition(f"{name}=no") for name in switches)
    if word in switches:
        return (reader.condition(f"{word}=yes"),)
    owners = [name for name, values in reader.factors.items() if word in values]
    if len(owners) == 1:
        return (reader.condition(f"{owners[0]}={word}"),)
    if len(owners) > 1:
        raise ValueError(f"{word!r} is a value of {' and of '.join(owners)}; write {owners[0]}={word}")
    if not reader.factors:
        return (reader.condition(word),)  # which says what is wrong
    others = [f"{name}={value}" for name, values in reader.factors.items() if name not in switches for value in values]
    raise nearest("word", word, [PLAIN, *switches, *others] if switches else others)


def asked(terms: Sequence[Term]) -> tuple[str, ...]:
    """The conditions, as words, that the terms come to. Raises ValueError where they ask for nothing, or for two values
    of one factor."""
    counts: dict[str, dict[str, int]] = {}
    for term in terms:
        for c in term.conditions:
            row = counts.setdefault(c.factor, {})
            row[c.text] = row.get(c.text, 0) + term.sign
    words = {factor: [text for text, n in row.items() if n > 0] for factor, row in counts.items()}
    for factor, texts in words.items():
        if len(texts) > 1:
            raise ValueError(f"{' and '.join(texts)} cannot both be; take away what {factor} is to lose")
    if not any(words.values()):
        raise ValueError("the terms take away as much as they add; ask for something: 'glasses - plain + hat'")
    return tuple(text for texts in words.values() for text in texts)


class Groups:
    """Latents and what their images show. inputs: (N, width). labels: factor -> (N,)."""

    def __init__(self, inputs: np.ndarray, labels: dict[str, np.ndarray], latent: int) -> None:
        self.inputs, self.labels, self.latent = inputs, labels, latent

    def mean(self, term: Term) -> np.ndarray:
        """The mean latent (d,) of a term. Raises ValueError for a group too small."""
        members = self.inputs[term.members(self.labels), : self.latent]
        if len(members) < MEMBERS:
            raise ValueError(
                f"{term.text!r}: {len(members)} of {len(self.inputs)} latents show it, and a mean takes {MEMBERS}; ask"
                " for what is less rare"
            )
        return members.mean(0)


def shift(terms: Sequence[Term], groups: Groups) -> np.ndarray:
    """What is added to a latent of the first term (d,): the signed means of the others; of all, where the first is
    taken away."""
    others = terms[1:] if terms[0].sign > 0 else terms
    return np.sum([term.sign * groups.mean(term) for term in others], 0)


def of_samples(trainer: Trainer, reader: Reader, factors: set[str], count: int, random: Generator) -> Groups:
    """`count` draws of a system, read by the judges."""
    inputs = draws(trainer, count, random)
    return Groups(inputs, reader.read(trainer.sample(Tensor(inputs)), factors), trainer.options.latent)


def of_images(trainer: Trainer, reader: Reader, factors: set[str], rows: np.ndarray) -> Groups:
    """The codes of the data set's images `rows`, which show what the data set says. Raises ValueError for a system
    without an encoder."""
    if not hasattr(trainer, "encode"):
        raise ValueError(f"{trainer.options.system} has no encoder, so no codes of images; take groups of samples")
    codes = trainer.encode(prepared(reader.dataset, rows, trainer.options.size))
    return Groups(codes, reader.truth(rows, factors), trainer.options.latent)


def study(
    trainer: Trainer,
    text: str,
    count: int = 100,
    source: str | None = None,
    strength: float = 1.0,
    seed: int = 0,
    own: Reader | None = None,
    other: Reader | None = None,
    show: int = 10,
) -> Study:
    """The results of an expression beside the latents they began from, and a random vector of the same length.

    source: groups of "samples", or of "images", the default where the system has an encoder. strength: a factor of the
    vector. own: the judges that read the groups; other: those that read the results, by default the same. Raises
    ValueError as `expression`, `asked` and `Groups.mean` do, and where no latent of the first term lacks what is asked
    for.
    """
    space, random = space_of(trainer), Generator(seed, SAMPLE_STREAM)
    own = own or Reader(trainer.dataset, trainer.options.data)
    terms = expression(text, own)
    aim = target(asked(terms), trainer, own)
    factors = {c.factor for term in terms for c in term.conditions}
    if (source or ("images" if hasattr(trainer, "encode") else "samples")) == "images":
        groups = of_images(trainer, own, factors, own.dataset.train)
        others = iter([of_images(trainer, own, factors, own.dataset.held_out)])
    else:
        groups = of_samples(trainer, own, factors, 4 * BATCH, random)
        others = (of_samples(trainer, own, factors, BATCH, random) for _ in range(ROUNDS))
    vector = strength * shift(terms, groups)
    start = members(terms[0], aim, others, count)
    noise = np.random.default_rng(seed).standard_normal((len(start), space.latent))
    noise *= np.linalg.norm(vector) / np.linalg.norm(noise, axis=1, keepdims=True)
    inputs = {
        "arithmetic": moved(space, start, vector),
        "random vector": moved(space, start, noise),
        "where it began": start,
    }
    scale = Scale(aim.read_by(other), trainer.options.size)
    images = {name: trainer.sample(Tensor(x)) for name, x in inputs.items()}
    rows = {name: scale.row(images[name], x[:, : space.latent]) for name, x in inputs.items()}
    if (real := scale.real(count)) is not None:
        rows["real images"] = scale.row(real)
    rest = unchanged(scale.target.reader, images, {c.factor for c in aim.conditions})
    length, far = np.linalg.norm(start[:, : space.latent], axis=1).mean(), float(np.linalg.norm(vector))
    first = terms[0].text if terms[0].sign > 0 else "any kind"
    lines = [
        scale.line,
        f"asked for: {aim.text}; {len(start)} latents of {first} that lack it, |z| = {length:.2f}, moved by {far:.2f}",
    ]
    if rest["arithmetic"]:
        lines += [f"{name} keeps " + ", ".join(f"{k} {s:.0%}" for k, s in rest[name].items()) for name in rest]
    grids = {
        f"{first}, as it was": images["where it began"][None, :show],
        text: images["arithmetic"][None, :show],
        "a random vector of the same length": images["random vector"][None, :show],
    }
    figures = {"asked": list(asked(terms)), "length": far, "kept": rest}
    return Study(rows, grids, tuple(lines), figures)


def members(first: Term, aim: Target, draws_of: Callable, count: int) -> np.ndarray:
    """Up to `count` inputs (N, width) of the first term, of any kind where it is taken away, that lack what is asked
    for. Raises ValueError where there is none."""
    rows, seen = [], 0
    for groups in draws_of:
        inside = first.members(groups.labels) if first.sign > 0 else np.ones(len(groups.inputs), bool)
        rows.append(groups.inputs[inside & ~aim.met(groups.labels)])
        seen += len(groups.inputs)
        if sum(map(len, rows)) >= count:
            break
    start = np.concatenate(rows)[:count]
    if not len(start):
        raise ValueError(f"none of {seen} latents shows {first.text!r} without {aim.text} already; begin elsewhere")
    return start


def moved(space: Space, inputs: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Inputs (N, width) with the vector (d,) or (N, d) added to their latents, the codes as they were."""
    z = space.project(inputs[:, : space.latent] + vector)
    return np.concatenate([z, inputs[:, space.latent :]], 1).astype(inputs.dtype)


def unchanged(reader: Reader, images: dict[str, np.ndarray], but: set[str]) -> dict[str, dict[str, float]]:
    """For each set but the first images, factor -> the share whose value is what the judge read where it began."""
    others = [name for name in reader.factors if name not in but]
    before = reader.read(images["where it began"], others) if others else {}
    return {
        name: {k: float((v == before[k]).mean()) for k, v in reader.read(x, others).items()} if others else {}
        for name, x in images.items()
        if name != "where it began"
    }
