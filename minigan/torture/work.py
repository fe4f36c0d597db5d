"""One call of each kind of kernel, on arrays large enough for all to go parallel."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..kernels.geometry import ConvGeometry


def work() -> list[bytes]:
    """The bytes of all results, always the same."""
    rng = np.random.default_rng(0)
    x, w, a = (rng.normal(size=s).astype(np.float32) for s in ((8, 16, 40, 40), (32, 16, 3, 3), (256, 512)))
    g = ConvGeometry(x.shape, w.shape, (1, 1), (1, 1), (1, 1), 1)
    p, m, v = (np.ones(100_000, np.float32) for _ in range(3))
    kernels.optim.adam(p, x.ravel()[:100_000], m, v, 0.1, 0.5, 0.9, 1e-8, 3, 0.0, False)
    results = [
        *(p, m, v),
        kernels.matmul.matmul(a, a.T),
        kernels.conv.conv_forward(x, w, g),
        kernels.conv.conv_weight(x, kernels.conv.conv_forward(x, w, g), g),
        *kernels.norm.batch_norm(x, None, None, 1e-5, slope=0.2),
        *kernels.norm.batch_norm_grad(x, None, x, 1e-5, mask=x, slope=0.2),
        kernels.act.tanh(x),
        kernels.act.leaky_relu_grad(x, x, 0.2),
        kernels.reduce.channel_sum(x),
        kernels.reduce.total(x),
        kernels.random.normal(100_000, 1, 2, 3),
    ]
    return [r.tobytes() for r in results]
