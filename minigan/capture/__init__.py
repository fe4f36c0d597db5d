"""Machine room, capture: a training step recorded once and replayed, `capture(step)`.

record.py records what the step computes, as a program of program.py, and refusal.py what it may not do; reach.py notes
what its Python code reads, guard.py whether that is as it was, and results.py how what it returns is built anew.
fusion.py rewrites the program; plan.py places its buffers in one arena and replays it; cuda_graph.py draws a device's
launches together; verify.py compares a replay with the step. auto.py captures a function by itself where that changes
nothing, `auto_capture(step)`; effects.py knows what else its Python may do.
"""

from .auto import auto_capture
from .record import Captured, capture
from .refusal import CaptureError

__all__ = ["CaptureError", "Captured", "auto_capture", "capture"]
