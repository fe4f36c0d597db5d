"""A training step recorded once and replayed: `capture(step)`.

record.py records what the step computes, as the list of program.py; fusion.py rewrites that list; plan.py places its
buffers in one arena and replays it; cuda_graph.py draws a device's launches together.
"""

from .record import Captured, CaptureError, capture

__all__ = ["CaptureError", "Captured", "capture"]
