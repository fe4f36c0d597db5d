"""Machine room, kernels: activations and their derivatives, element by element; each operand is read once.

    leaky_relu(x) = x where x > 0, slope x elsewhere;    its vjp: g where x > 0, slope g elsewhere.
    tanh(x) = y;                                         its vjp: g (1 - y^2).
    sigmoid(x) = 1 / (1 + e^-x);                         exp(x) = e^x.
    erf(x) = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
    expm1(x) = e^x - 1;  log1p(x) = ln(1 + x);  softplus(x) = ln(1 + e^(beta x)) / beta.

slope = 0 is ReLU, chosen and not multiplied: 0 * -inf would be NaN. As in PyTorch, ReLU of NaN is
NaN, and its vjp there is g. The operands of one call have one shape and dtype; results have the
memory order of x. `out` may be x or g itself.

In float64, erf is SciPy's and the others are NumPy's. In float32 they are computed here, on all threads.
With n = round(x / log 2), r = x - n log 2 and p = e^r - 1, a polynomial for |r| <= log(2) / 2 (the
coefficients of Cephes' expf, S. Moshier),

    e^x = 2^n (p + 1),   t = e^2|x| - 1 = 2^n p + (2^n - 1),   tanh |x| = t / (t + 2),
    sigmoid |x| = 1 / (1 + e^-|x|),   sigmoid -|x| = e^-|x| / (1 + e^-|x|),
    erf x = x + x S(x^2) for |x| < 0.95, else erf |x| = 1 - e^-|x| L(|x|), S and L polynomials fitted to SciPy's erf.

With 1 + x = 2^n (1 + f), 1 + f from sqrt(1/2) to sqrt(2), and G a polynomial (the coefficients of Cephes' logf),

    ln(1 + x) = n log 2 + f - f^2 / 2 + f^3 G(f);

to f comes what the sum 1 + x loses in float32. softplus x = max(x, 0) + ln(1 + e^-|x|) for beta = 1.

Over all float32 x, the error against float64 is at most 1.8e-7 of the value for tanh, sigmoid, erf, expm1, log1p and
softplus, 9e-8 for exp, as long as the value is a normal number.
"""

from collections.abc import Callable

import numpy as np
from numba import prange

from minigan.kernels.layout import elementwise
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of

CHUNK = 32768
"""Elements in a task, and the size above which a second thread pays."""


@njit
def _apart(x, out):
    """x, or a copy where out is x: a loop is vectorised only if it does not write what it reads."""
    return x.copy() if x.ctypes.data == out.ctypes.data else x


@njit
def leaky(v, slope):
    """v where v > 0, slope v elsewhere; for slope 0, 0 where v <= 0."""
    if slope == 0:
        return slope if v <= 0 else v
    return v if v > 0 else slope * v


@njit
def gated(g, x, slope):
    """g where x > 0, slope g elsewhere; for slope 0, 0 where x <= 0."""
    if slope == 0:
        return slope if x <= 0 else g
    return g if x > 0 else slope * g


@njit
def _leaky_relu(x, slope, out):
    x = _apart(x, out)
    for i in range(x.size):
        out[i] = leaky(x[i], slope)


@njit(parallel=True)
def _leaky_relu_chunks(x, slope, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _leaky_relu(x[at], slope, out[at])


def leaky_relu(x: Array, slope: float, out: Array | None = None, *, work: Now = NOW) -> Array:
    """x where x > 0, slope * x elsewhere."""
    if not isinstance(x, Array):
        return kernels_of(x).act.leaky_relu(x, slope, out, work=work)
    out, line, x_line = elementwise(x, out=out, work=work)
    work.call(_leaky_relu if x.size <= CHUNK else _leaky_relu_chunks, x_line, x.dtype.type(slope), line)
    return out


@njit
def _leaky_relu_grad(x, g, slope, out):
    x, g = _apart(x, out), _apart(g, out)
    for i in range(x.size):
        out[i] = gated(g[i], x[i], slope)


@njit(parallel=True)
def _leaky_relu_grad_chunks(x, g, slope, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _leaky_relu_grad(x[at], g[at], slope, out[at])


def leaky_relu_grad(x: Array, g: Array, slope: float, out: Array | None = None, *, work: Now = NOW) -> Array:
    """g where x > 0, slope * g elsewhere: the derivative along g, linear in g."""
    if not isinstance(x, Array):
        return kernels_of(x).act.leaky_relu_grad(x, g, slope, out, work=work)
    out, line, x_line, g_line = elementwise(x, g, out=out, work=work)
    kernel = _leaky_relu_grad if x.size <= CHUNK else _leaky_relu_grad_chunks
    work.call(kernel, x_line, g_line, x.dtype.type(slope), line)
    return out


ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
INVERSE_LOG2 = np.float32(1 / np.log(2))
LOG2_HIGH, LOG2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOWEST, HIGHEST, SATURATED = np.float32(-104), np.float32(89), np.float32(10)
"""Below LOWEST e^x is 0 in float32, above HIGHEST infinite; above SATURATED tanh is 1."""

# e^r - 1 = r + r^2 (E0 r^5 + ... + E5)
E0, E1, E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E3, E4, E5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)

NEAR, FAR = np.float32(0.95), np.float32(4)
"""Below NEAR erf is a polynomial of x^2, above FAR it is 1."""

S0, S1, S2 = np.float32(0.12837914231306374), np.float32(-0.3761244593592196), np.float32(0.11281320686100356)
S3, S4, S5 = np.float32(-0.026748864175252123), np.float32(0.004967506669715159), np.float32(-0.0005862081360888202)
L0, L1, L2 = np.float32(1.1286656936635842), np.float32(0.6350820338910035), np.float32(0.10635056205768145)
L3, L4 = np.float32(-0.023859268757374593), np.float32(0.003688106392217264)
L5, L6 = np.float32(-0.0003339597772426837), np.float32(1.2339400177440174e-05)

# ln(1 + f) = f - f^2 / 2 + f^3 (G0 f^8 + ... + G8)
G0, G1, G2 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
G3, G4, G5 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
G6, G7, G8 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)
HALF, INFINITE, NAN = np.float32(0.5), np.float32(np.inf), np.float32(np.nan)
SQRT_HALF_BITS = np.float32(np.sqrt(0.5)).view(np.int32)

ROUND = np.float32(1.5 * 2**23)
ROUND_BITS = ROUND.view(np.int32)
"""x + ROUND has no bits left for a fraction, and its lowest bits are those of round(x)."""

EXPONENT, BIAS, LARGEST = np.int32(23), np.int32(127), np.int32(126)
"""Where the exponent of a float32 lies, what is added to it, and the largest whose reciprocal is normal."""


@njit
def _power_of_two(n):
    """2^n for an int32 n in [-126, 127]."""
    return np.int32((n + BIAS) << EXPONENT).view(np.float32)


@njit(fastmath={"contract"})
def _reduced(x):
    """(n, p), n int32 and p = e^r - 1, with x = n log 2 + r. NaN gives a p of NaN and any n."""
    shifted = x * INVERSE_LOG2 + ROUND
    n = shifted - ROUND
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    p = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    return np.int32(np.float32(shifted).view(np.int32) - ROUND_BITS), p * (r * r) + r


@njit(fastmath={"contract"})
def _exp_of(x):
    """e^x. 2^n is applied in two halves, since it can be no float32 where e^x is one."""
    x = LOWEST if x < LOWEST else x
    n, p = _reduced(HIGHEST if x > HIGHEST else x)
    half = n >> np.int32(1)
    return (p + ONE) * _power_of_two(half) * _power_of_two(n - half)


@njit(fastmath={"contract"})
def _log1p_of(x):
    """ln(1 + x)."""
    u = np.float32(ONE + x)
    bits = u.view(np.int32)
    n = np.int32((bits - SQRT_HALF_BITS) >> EXPONENT)
    lost = ONE - (u - x) if x > ONE else x - (u - ONE)
    f = np.int32(bits - (n << EXPONENT)).view(np.float32) - ONE
    f += lost * _power_of_two(np.int32(-min(n, LARGEST)))
    g = (((((((G0 * f + G1) * f + G2) * f + G3) * f + G4) * f + G5) * f + G6) * f + G7) * f + G8
    square, whole = f * f, np.float32(n)
    value = whole * LOG2_HIGH + (f + (whole * LOG2_LOW + (square * f * g - HALF * square)))
    edge = -INFINITE if u == ZERO else NAN if u < ZERO else x
    return np.copysign(value, x) if ZERO < u < INFINITE else edge


@njit(fastmath={"contract"})
def _tanh(x, out):
    x = _apart(x, out)
    for i in range(x.size):
        size = abs(x[i])
        size = SATURATED if size > SATURATED else size
        n, p = _reduced(size + size)
        power = _power_of_two(n)
        t = power * p + (power - ONE)
        out[i] = np.copysign(t / (t + TWO), x[i])


@njit(fastmath={"contract"})
def _exp(x, out):
    x = _apart(x, out)
    for i in range(x.size):
        out[i] = _exp_of(x[i])


@njit(fastmath={"contract"})
def _sigmoid(x, out):
    x = _apart(x, out)
    for i in range(x.size):
        e = _exp_of(-abs(x[i]))
        out[i] = (e if x[i] < ZERO else ONE) / (ONE + e)


@njit(fastmath={"contract"})
def _erf(x, out):
    x = _apart(x, out)
    for i in range(x.size):
        size = abs(x[i])
        square = size * size
        near = ((((S5 * square + S4) * square + S3) * square + S2) * square + S1) * square + S0
        size = FAR if size > FAR else size
        far = (((((L6 * size + L5) * size + L4) * size + L3) * size + L2) * size + L1) * size + L0
        value = size + size * near if size < NEAR else ONE - _exp_of(-size * far)
        out[i] = np.copysign(value, x[i])


@njit(fastmath={"contract"})
def _expm1(x, out):
    """With 2^n in two halves as in `_exp_of`."""
    x = _apart(x, out)
    for i in range(x.size):
        size = LOWEST if x[i] < LOWEST else x[i]
        n, p = _reduced(HIGHEST if size > HIGHEST else size)
        half = n >> np.int32(1)
        rest = _power_of_two(n - half)
        out[i] = np.copysign(_power_of_two(half) * (rest * p + (rest - _power_of_two(-half))), x[i])


@njit(fastmath={"contract"})
def _log1p(x, out):
    x = _apart(x, out)
    for i in range(x.size):
        out[i] = _log1p_of(x[i])


@njit(fastmath={"contract"})
def _softplus(x, beta, threshold, out):
    x = _apart(x, out)
    for i in range(x.size):
        z = x[i] * beta
        y = ((z if z > ZERO else ZERO) + _log1p_of(_exp_of(-abs(z)))) / beta
        out[i] = x[i] if z > threshold else y


@njit(parallel=True)
def _tanh_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _tanh(x[at], out[at])


@njit(parallel=True)
def _exp_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _exp(x[at], out[at])


@njit(parallel=True)
def _sigmoid_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _sigmoid(x[at], out[at])


@njit(parallel=True)
def _erf_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _erf(x[at], out[at])


@njit(parallel=True)
def _expm1_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _expm1(x[at], out[at])


@njit(parallel=True)
def _log1p_chunks(x, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _log1p(x[at], out[at])


@njit(parallel=True)
def _softplus_chunks(x, beta, threshold, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _softplus(x[at], beta, threshold, out[at])


def _erf_wide(x: Array, out: Array) -> None:
    """In float64, by SciPy."""
    from scipy.special import erf

    erf(x, out=out)


def _sigmoid_wide(x: Array, out: Array) -> None:
    """In float64, by NumPy."""
    e = np.exp(-np.abs(x))
    np.divide(np.where(x < 0, e, 1), 1 + e, out=out)


def _softplus_wide(x: Array, beta: float, threshold: float, out: Array) -> None:
    """In float64, by NumPy."""
    z = x * beta
    out[:] = np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def _curve(loops: tuple[Callable, Callable, Callable], x: Array, out: Array | None, work: Now) -> Array:
    """Runs the loop for (float32 on one thread, float32 on all, float64) over x."""
    out, line, x_line = elementwise(x, out=out, work=work)
    work.call(loops[2] if x.dtype != np.float32 else loops[x.size > CHUNK], x_line, line)
    return out


def tanh(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """tanh(x)."""
    if not isinstance(x, Array):
        return kernels_of(x).act.tanh(x, out, work=work)
    return _curve((_tanh, _tanh_chunks, np.tanh), x, out, work)


def exp(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """e^x."""
    if not isinstance(x, Array):
        return kernels_of(x).act.exp(x, out, work=work)
    return _curve((_exp, _exp_chunks, np.exp), x, out, work)


def sigmoid(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """1 / (1 + e^-x)."""
    if not isinstance(x, Array):
        return kernels_of(x).act.sigmoid(x, out, work=work)
    return _curve((_sigmoid, _sigmoid_chunks, _sigmoid_wide), x, out, work)


def erf(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """erf(x), of NumPy's arrays; a device has one of its own."""
    return _curve((_erf, _erf_chunks, _erf_wide), x, out, work)


def expm1(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """e^x - 1, of NumPy's arrays, as the next two."""
    return _curve((_expm1, _expm1_chunks, np.expm1), x, out, work)


def log1p(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """ln(1 + x)."""
    return _curve((_log1p, _log1p_chunks, np.log1p), x, out, work)


def softplus(
    x: Array, beta: float = 1.0, threshold: float = 20.0, out: Array | None = None, *, work: Now = NOW
) -> Array:
    """ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold."""
    out, line, x_line = elementwise(x, out=out, work=work)
    kernel = _softplus_wide if x.dtype != np.float32 else _softplus_chunks if x.size > CHUNK else _softplus
    work.call(kernel, x_line, x.dtype.type(beta), x.dtype.type(threshold), line)
    return out


@njit
def _tanh_grad(y, g, out):
    y, g = _apart(y, out), _apart(g, out)
    for i in range(y.size):
        out[i] = g[i] - g[i] * y[i] * y[i]


@njit(parallel=True)
def _tanh_grad_chunks(y, g, out):
    for q in prange((y.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _tanh_grad(y[at], g[at], out[at])


def tanh_grad(y: Array, g: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """g (1 - y^2), where y = tanh(x) is the output."""
    if not isinstance(y, Array):
        return kernels_of(y).act.tanh_grad(y, g, out, work=work)
    out, line, y_line, g_line = elementwise(y, g, out=out, work=work)
    work.call(_tanh_grad if y.size <= CHUNK else _tanh_grad_chunks, y_line, g_line, line)
    return out
