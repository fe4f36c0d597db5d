"""PyTorch, with which many tests compare; none needs it to be installed.

A test about PyTorch alone asks for the fixture `torch` (conftest.py). A test that compares with other things too calls
`compared()` at each comparison with PyTorch: without it the comparison is left out, the rest is checked, and at its end
the test is marked as skipped (conftest.py does that, too), so that no run looks more complete than it is.
"""

from importlib.util import find_spec

import pytest

INSTALLED = find_spec("torch") is not None
ABSENT = "PyTorch is not installed"
left_out: list[str] = []
"""A reason for every comparison that the present test left out."""


def compared() -> bool:
    """Whether PyTorch is there to be compared with; if not, the present test will be marked as skipped."""
    if not INSTALLED:
        left_out.append(f"{ABSENT}: the comparison with it was left out, all else in this test holds")
    return INSTALLED


def skip_if_left_out() -> None:
    """Mark the present test as skipped, if it left a comparison out."""
    if left_out:
        pytest.skip(left_out[0])
