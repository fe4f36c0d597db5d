"""A network as an ONNX file (opset 18), its number of rows free, and how far onnxruntime's outputs are from its own.

Needs the package onnx: pip install "minigan[onnx]".
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, array_of, no_grad
from .graph import ROWS, Graph, Node, Slot

OPSET = 18


def exported(network: nn.Module, inputs: Sequence[np.ndarray], names: Sequence[str], title: str = "network"):
    """The network as an `onnx.ModelProto`, checked.

    inputs: arrays of at least three rows, one for each argument; names: what the arguments are called. Raises
    ValueError, naming the op and its layer, for what ONNX cannot express, and ImportError without the package onnx.
    """
    import onnx
    from onnx import helper, numpy_helper

    graph = Graph(network, inputs, names)
    whole = helper.make_graph(
        [_node(node) for node in graph.nodes],
        title,
        [_slot(slot) for slot in graph.inputs],
        [_slot(slot) for slot in graph.outputs],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=9, producer_name="minigan")
    onnx.checker.check_model(model, full_check=True)
    return model


def _node(node: Node):
    from onnx import helper

    settings = {
        name: helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value
        for name, value in node.settings.items()
    }
    return helper.make_node(node.kind, list(node.inputs), [node.output], node.output, **settings)


def _slot(slot: Slot):
    from onnx import helper

    shape = [n if n >= 0 else ROWS if n == -1 else f"{-n} {ROWS}" for n in slot.sizes]
    return helper.make_tensor_value_info(slot.name, helper.np_dtype_to_tensor_dtype(slot.dtype), shape)


def difference(model: Any, network: nn.Module, inputs: Sequence[np.ndarray]) -> float:
    """The largest difference of onnxruntime's outputs from the network's own, relative to each output's largest value.
    Raises ImportError without the package onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {slot.name: x for slot, x in zip(session.get_inputs(), inputs, strict=True)}
    return _largest(session.run(None, fed), _outputs(network, inputs))


def rounding(network: nn.Module, inputs: Sequence[np.ndarray]) -> float:
    """The same of the network's own outputs from those of its twin in float64: how far they are rounded. Where another
    program differs by about as much, it adds the same numbers in another order."""
    wide = [x.astype(np.float64) if x.dtype == np.float32 else x for x in inputs]
    return _largest(_outputs(network, inputs), _outputs(copy.deepcopy(network).double(), wide))


def _outputs(network: nn.Module, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    with no_grad():
        result = network(*map(Tensor, inputs))
    return [array_of(y) for y in (result if isinstance(result, (tuple, list)) else (result,))]


def _largest(outputs: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(outputs, exact, strict=True))
