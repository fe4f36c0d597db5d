"""What type checkers and editors read: minigan/_typing.py declares just what the package attaches to Tensor.

`mypy` checks this file with the public face (pyproject.toml says what that is), so `assert_type` holds there too.
"""

import ast
import inspect
from typing import assert_type

import numpy as np
from tensor_methods import PLACE, text

import minigan as mg
from minigan import autograd, methods
from minigan import functional as F


def class_names(path: str, name: str) -> set[str]:
    """What the class statement `name` of a file defines."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    names |= {t.id for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
    return names | {
        node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_the_file_is_what_the_signatures_say() -> None:
    assert PLACE.read_text() == text(), "minigan/_typing.py is old; run: python tests/support/tensor_methods.py"


def test_every_method_is_declared() -> None:
    """What Tensor has beyond its class statement is what `Methods` declares."""
    own = class_names(inspect.getfile(autograd), "Tensor") | set(autograd.Tensor.__slots__)
    attached = set(vars(autograd.Tensor)) - own - {"__module__", "__doc__", "__annotations__"}
    assert attached == class_names(str(PLACE), "Methods")


def test_a_users_program() -> None:
    """Operators, methods, functions, gradients and layers have their types; mypy fails here where one is lost."""
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x**3 - 2 / x).sum()
    assert_type(y, mg.Tensor)
    (g,) = mg.grad(y, x, create_graph=True)
    assert g is not None
    assert_type(g, mg.Tensor)
    assert_type(g.shape, tuple[int, ...])
    assert_type(mg.exp(x) @ x, mg.Tensor)
    assert_type(F.tanh(x[0]).mean(), mg.Tensor)
    assert_type(x.detach().numpy(), np.ndarray)
    assert set(methods.PUBLIC) <= set(dir(mg))
