"""Machine room, engine: what a gradient, a changed input or a kernel that refuses is answered with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ._array import ArrayHolder, TensorError

if TYPE_CHECKING:
    from ._typing import Node, Tensor


def stale(node: Node) -> RuntimeError:
    """The error for an input or output that a node's vjp reads and that was changed in place since it was recorded."""
    changes = [
        f"input {i} of shape {x.shape}"
        for i, (x, version) in enumerate(zip(node.inputs, node.versions, strict=False))
        if x.version[0] != version
    ]
    changes += [f"output {i} of shape {node.shapes[i]}" for i, version in enumerate(node.output_versions) if version[0]]
    return RuntimeError(
        f"{node.op.name}: {changes[0]} was changed in place (by an optimiser step, say) after this op used it, so"
        " its gradient would be wrong; call backward before the step, or run the forward pass again"
    )


def graphless(name: str) -> TensorError:
    """The error for an output that has nothing to differentiate."""
    return TensorError(
        f"{name}: the output depends on nothing that requires a gradient. If it was computed from what grad(...)"
        " returned, that call needs create_graph=True; if under no_grad or from detach(), compute it outside; a true"
        " constant has no gradient (grad's allow_unused=True answers None)"
    )


def unfit(name: str, value: object, owner: str, otherwise: str) -> Exception:
    """The error for a value that is to be the gradient of `owner`."""
    if isinstance(value, ArrayHolder):
        return ValueError(f"{name}: a tensor of shape {value.shape} cannot be the gradient of {owner}")
    return TypeError(f"{name}: the gradient of {owner} must be a Tensor{otherwise}, not {type(value).__name__}")


def explained(op: str, error: Exception, shapes: Iterable[tuple[int, ...]]) -> Exception:
    """An error that an op's kernel raised, with the op's name and the shapes of its inputs."""
    message = str(error)
    if message.startswith(f"{op}: "):
        return error
    if "broadcast" in message:
        message = "the shapes do not broadcast; from the last axis on, sizes must be equal or 1 (reshape one of them)"
    message = f"{op}: {message} (input shapes {', '.join(map(str, shapes))})"
    kinds = (type(error), IndexError, ValueError, TypeError)  # not every error of NumPy's is made of a message
    return next(kind for kind in kinds if isinstance(error, kind) and kind.__init__ in PLAIN)(message)


PLAIN = (TypeError.__init__, ValueError.__init__, IndexError.__init__)


def misfit(node: Node, grads: Sequence[Tensor | None]) -> ValueError:
    """The error for a gradient that has not its input's shape."""
    pairs = enumerate(zip(node.inputs, grads, strict=True))
    position, x, g = next((i, x, g) for i, (x, g) in pairs if g is not None and g.shape != x.shape)
    return ValueError(
        f"{node.op.name}: its vjp returned a gradient of shape {g.shape} for input {position} of {x.shape}"
        " (after broadcasting, sum it back with sum_to)"
    )
