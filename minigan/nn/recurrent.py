"""A recurrent cell, by the names, arguments and start of torch.nn: a sequence is read one entry at a time.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)            how much of the state the candidate sees
    u = sigmoid(W_iz x + b_iz + W_hz h + b_hz)            how much of the state stays
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))           the candidate
    h' = (1 - u) n + u h                                  (Cho et al. 2014, eq. 5 to 8; torch's update gate)

It is made of matmul, sigmoid and tanh, so every derivative of theirs is one of its own.
"""

from __future__ import annotations

import math

from .. import functional as F
from ..autograd import Tensor
from ..creation import empty, zeros
from . import init
from .module import Layer, Parameter


class GRUCell(Layer):
    """One step of a gated recurrent unit: x (N, input_size) and the state h (N, hidden_size) to the next state.

    weight_ih (3 H, I), weight_hh (3 H, H) and both biases (3 H,) hold the rows of r, u and n one below the other; all
    start uniform on +-1/sqrt(hidden_size). A state that is not given is zeros. Raises ValueError for other shapes.
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.input_size, self.hidden_size, rows = input_size, hidden_size, 3 * hidden_size
        bound = 1 / math.sqrt(hidden_size)
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        for name, shape in (shapes | dict.fromkeys(("bias_ih", "bias_hh"), (rows,))).items():
            there = bias or not name.startswith("bias")
            self.register_parameter(name, Parameter(init.uniform_(empty(*shape), -bound, bound)) if there else None)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        h, size = hx, self.hidden_size
        if h is None:
            h = zeros(input.shape[0], size, dtype=input.dtype, device=input.device)
        if input.ndim != 2 or input.shape[1] != self.input_size or h.shape != (input.shape[0], size):
            raise ValueError(
                f"GRUCell: needs an input (N, {self.input_size}) and a state (N, {size}), got {input.shape} and"
                f" {h.shape}"
            )
        return self.step(self.of_input(input), h)

    def of_input(self, input: Tensor) -> Tensor:
        """W_i x + b_i (..., 3 H) of x (..., I): that of a whole sequence is one product."""
        return F.linear(input, self.weight_ih, self.bias_ih)

    def step(self, of_input: Tensor, h: Tensor) -> Tensor:
        """The next state (N, H), for W_i x + b_i (N, 3 H) and the state (N, H)."""
        size, of_state = self.hidden_size, F.linear(h, self.weight_hh, self.bias_hh)
        gates = F.sigmoid(of_input[:, : 2 * size] + of_state[:, : 2 * size])
        reset, update = gates[:, :size], gates[:, size:]
        candidate = F.tanh(of_input[:, 2 * size :] + reset * of_state[:, 2 * size :])
        return candidate + update * (h - candidate)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias_ih is not None}"
