"""A generator of images of captions and its critic: the networks of `text2image`.

    encoder  phrases p of words w_1 w_2 w_3, 0 for none -> rows of a table e(w_1), e(w_2), e(w_3)
             gru   h_t = GRU(e(w_t), h_(t-1)), h_0 = 0, which stands still where there is no word;  code = sum_p h_3
             bag   code = tanh(W sum_p sum_t e(w_t)): the same words in another order have the same code
    painter  z (N, Z), words -> condition (z, code) -> linear, 4b x S/4 x S/4 -> residual block
             -> two 4x4 transposed convolutions to b x S x S    (conditional instance norm, ReLU)
             palette  p = tanh(two linear layers of the condition)                        (N, K, C)
             shares   s = softmax(3x3 conv)                                               (N, K, S, S)
             x = sum_k s_k p_k: every pixel mixes the K colours of its image
    critic   x -> a number s(x) and as many numbers v(x) as a code has;  f(x | w) = s(x) + code(w) . v(x)
                                                                          (Miyato & Koyama 2018, eq. 8)

Each player has an encoder of its own, which its own loss trains. "red hat, blue hair" and "blue hat, red hair" are one
bag of words: only an encoder that reads in order can tell them apart. Phrases are added up: the critic scores an image
by sum_p h(p) . v(x), phrase by phrase, and a caption costs as many steps of the cell as a phrase has words.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator, int64
from ...creation import zeros
from ...data.captions import PHRASE
from ...functional import leaky_relu, relu, tanh
from ...nn import init
from ...ops.basic import cast
from ...ops.index import cat
from ...ops.matmul import matmul
from ...ops.reduce import softmax, sum
from ...ops.shape import unsqueeze
from ..losses import nearest
from .palette import PaletteCritic
from .translators import ConditionalNorm, ResidualBlock

ENCODERS = ("gru", "bag")
"""Ways to read a caption; the option `encoder` names one."""


class CaptionEncoder(nn.Module):
    """Numbers of words (N, P * PHRASE) of P phrases, 0 for no word, to codes (N, width). Raises ValueError for an
    unknown kind."""

    def __init__(self, words: int, width: int = 64, kind: str = "gru") -> None:
        super().__init__()
        if kind not in ENCODERS:
            raise nearest("encoder", kind, ENCODERS)
        self.width = width
        self.table = nn.Embedding(words + 1, width // 2)
        self.cell = nn.GRUCell(width // 2, width) if kind == "gru" else None
        self.last = nn.Linear(width // 2, width) if kind == "bag" else None

    def forward(self, words: Tensor) -> Tensor:
        """The codes; words may stand in floats."""
        count, phrases = len(words), words.reshape(-1, PHRASE)
        rows, present = self.table(cast(phrases, int64)), cast(phrases > 0, self.table.weight.dtype)
        if self.cell is None:
            return tanh(self.last(sum((rows * unsqueeze(present, 2)).reshape(count, -1, rows.shape[2]), 1)))
        state, of_words = zeros(len(phrases), self.width, dtype=rows.dtype), self.cell.of_input(rows)
        for t in range(PHRASE):
            state = state + present[:, t : t + 1] * (self.cell.step(of_words[:, t], state) - state)
        return sum(state.reshape(count, -1, self.width), 1)


class CaptionPainter(nn.Module):
    """Latents with the numbers of words behind them (N, latent + L) to images (N, channels, size, size), mixed of
    `colours` colours each. Raises ValueError for a size that is no multiple of 4 of at least 8."""

    def __init__(
        self, encoder: CaptionEncoder, latent: int, channels: int = 3, size: int = 16, base: int = 16, colours: int = 16
    ) -> None:
        super().__init__()
        if size % 4 or size < 8:
            raise ValueError(f"CaptionPainter: size must be a multiple of 4 of at least 8, got {size}")
        self.encoder, self.latent, self.channels, self.size, self.colours = encoder, latent, channels, size, colours
        conditions = latent + encoder.width
        self.quarter = nn.Linear(conditions, 4 * base * (size // 4) ** 2)
        self.block = ResidualBlock(4 * base, conditions)
        self.wider = nn.ConvTranspose2d(4 * base, 2 * base, 4, 2, 1)
        self.whole = nn.ConvTranspose2d(2 * base, 2 * base, 4, 2, 1)
        for name, width in {"quarter": 4 * base, "wider": 2 * base, "whole": 2 * base}.items():
            setattr(self, f"{name}_norm", ConditionalNorm(width, conditions))
        self.hidden, self.palette = nn.Linear(conditions, 128), nn.Linear(128, channels * colours)
        self.shares = nn.Conv2d(2 * base, colours, 3, 1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """The images."""
        if inputs.ndim != 2 or inputs.shape[1] <= self.latent:
            raise ValueError(f"CaptionPainter: inputs must be (N, {self.latent} + words), got {inputs.shape}")
        z, words = inputs[:, : self.latent], inputs[:, self.latent :]
        condition = cat([z, self.encoder(words)], 1)
        side = self.size // 4
        h = self.quarter(condition).reshape(len(z), -1, side, side)
        h = self.block(relu(self.quarter_norm(h, condition)), condition)
        h = relu(self.wider_norm(self.wider(h), condition))
        h = relu(self.whole_norm(self.whole(h), condition))
        palette = tanh(self.palette(leaky_relu(self.hidden(condition), 0.2)))
        shares = softmax(self.shares(h), 1)
        palette = palette.reshape(len(z), self.colours, self.channels).permute(0, 2, 1)
        painted = matmul(palette, shares.reshape(len(z), self.colours, -1))
        return painted.reshape(len(z), self.channels, self.size, self.size)


class CaptionCritic(nn.Module):
    """Images (N, channels, size, size) and words (N, L) to one raw number each (N,)."""

    def __init__(self, encoder: CaptionEncoder, channels: int = 3, size: int = 16, base: int = 32) -> None:
        super().__init__()
        self.encoder = encoder
        self.body = PaletteCritic(encoder.width, channels, size, base)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """How much x looks like a real image of the caption."""
        return self.matched(x, self.encoder(words))

    def matched(self, x: Tensor, code: Tensor) -> Tensor:
        """The same for the codes (N, width) of captions."""
        scores, features = self.body(x)
        return scores + sum(features * code, 1)


def start_(module: nn.Module, generator: Generator) -> nn.Module:
    """He's start for convolutions and linear layers, biases zero, rows of words normal, the cell's weights uniform as
    torch has them, shares nearly the same for all colours. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.kaiming_normal_(m.weight, 0.2, generator=generator)
            if m.bias is not None:
                init.zeros_(m.bias)
        elif isinstance(m, nn.Embedding):
            init.normal_(m.weight, generator=generator)
        elif isinstance(m, nn.GRUCell):
            bound = m.hidden_size**-0.5
            for p in m.parameters():
                init.uniform_(p, -bound, bound, generator)
    if isinstance(module, CaptionPainter):
        init.normal_(module.shares.weight, 0.0, 0.02, generator)
    return module
