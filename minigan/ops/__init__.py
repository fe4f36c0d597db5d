"""Machine room, ops: the differentiable operations, a file a family.

The kernel, the derivative and the reference of an op stand beside each other. `conv` and `act` are on the path that a
reader takes first. An op's docstring states the op and its derivatives as mathematics; `table` reads them from there.
"""
