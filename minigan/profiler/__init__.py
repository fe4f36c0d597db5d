"""Look into one training step: which ops ran, of which order of derivative, how long each took, and why.

tape.py      the recorder: every op that runs, and every change in place
cost.py      FLOPs, bytes, the kernels that an op runs, and the roofline that they stand under
target.py    what can be looked into: a system, an example, a function of one's own
table.py     a tape as a table, as a Chrome trace; a captured plan as a list of instructions
graph.py     a tape as boxes, one for each layer and order of derivative
draw.py      the boxes as SVG, as DOT, as a page that folds them
debug.py     MINIGAN_DEBUG: rows printed while a program runs
"""

from .debug import debug
from .draw import svg
from .graph import Graph, graph
from .tape import Row, Tape

__all__ = ["Graph", "Row", "Tape", "debug", "graph", "svg"]
