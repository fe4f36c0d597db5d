"""What of CuPy minigan uses, by name: the functions, methods and operators, and the arguments they may be given.

The stand-in has these and no others, so that a program which runs on it asks CuPy for nothing that it lacks;
`standin.differences` holds the list against the real module.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UFUNCS = _words(
    """
    add subtract multiply true_divide divide floor_divide remainder power negative absolute exp
    expm1 log log1p sqrt square sin cos tanh sign maximum minimum floor ceil equal not_equal less
    less_equal greater greater_equal logical_and logical_or logical_not logical_xor isfinite isnan isinf
    bitwise_and bitwise_or bitwise_xor invert rint trunc arctan2
    tan arcsin arccos arctan sinh cosh
    """
)

FUNCTIONS = {
    "where": _words("condition x y"),
    "clip": _words("a a_min a_max out"),
    "broadcast_to": _words("array shape"),
    "concatenate": _words("tup axis out dtype casting"),
    "pad": _words("array pad_width mode constant_values"),
    "matmul": _words("out"),
    "dot": _words("a b out"),
    "einsum": _words("subscripts operands"),
    "copyto": _words("dst src casting where"),
    "may_share_memory": _words("a b"),
    "result_type": _words("arrays_and_dtypes"),
    "transpose": _words("a axes"),
    "moveaxis": _words("a source destination"),
    "cumsum": _words("a axis dtype out"),
    "sum": _words("a axis dtype out keepdims"),
    "prod": _words("a axis dtype out keepdims"),
    "amax": _words("a axis out keepdims"),
    "amin": _words("a axis out keepdims"),
    "max": _words("a axis out keepdims"),
    "min": _words("a axis out keepdims"),
    "argmax": _words("a axis dtype out keepdims"),
    "argmin": _words("a axis dtype out keepdims"),
    "argsort": _words("a axis kind"),
    "sort": _words("a axis kind"),
    "argwhere": _words("a"),
    "repeat": _words("a repeats axis"),
    "bincount": _words("x weights minlength"),
    "unique": _words("ar return_index return_inverse return_counts axis equal_nan"),
    "zeros_like": _words("a dtype order subok shape"),
    "ones_like": _words("a dtype order subok shape"),
    "full_like": _words("a fill_value dtype order subok shape"),
    "ascontiguousarray": _words("a dtype"),
    "array_equal": _words("a1 a2 equal_nan"),
    "ndim": _words("a"),
    "shape": _words("a"),
    "size": _words("a axis"),
}
"""Functions that take arrays: the arguments of CuPy's that may be used, by name."""

METHODS = {
    "sum": _words("axis dtype out keepdims"),
    "mean": _words("axis dtype out keepdims"),
    "max": _words("axis out keepdims"),
    "min": _words("axis out keepdims"),
    "argmax": _words("axis dtype out keepdims"),
    "argmin": _words("axis dtype out keepdims"),
    "any": _words("axis out keepdims"),
    "all": _words("axis out keepdims"),
    "astype": _words("dtype order casting subok copy"),
    "copy": _words("order"),
    "reshape": _words("shape order"),
    "transpose": _words("axes"),
    "swapaxes": _words("axis1 axis2"),
    "squeeze": _words("axis"),
    "ravel": _words("order"),
    "view": _words("dtype"),
    "fill": _words("value"),
}
"""Methods of arrays, likewise."""

OPERATORS = _words(
    """
    add sub mul truediv floordiv mod pow matmul and or xor radd rsub rmul rtruediv rfloordiv rpow
    rmatmul rand ror lt le gt ge eq ne
    """
)

IN_PLACE = {"iadd": "add", "isub": "subtract", "imul": "multiply", "itruediv": "true_divide"}
"""Operators that write into their left side, and the ufuncs that do it."""

VIEWS = ("reshape", "transpose", "swapaxes", "squeeze", "ravel", "view")
WAITS = ("get", "item", "tolist", "__float__", "__int__", "__bool__")
"""Methods for whose answer the host waits."""

FLAGS = ("c_contiguous", "f_contiguous", "owndata", "forc")

MAKERS = _words("empty empty_like zeros ones full eye arange asarray array asnumpy RawModule")
"""Functions of the module that make arrays or kernels; their arguments are read from the stand-in itself."""
