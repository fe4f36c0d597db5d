"""Ctrl-C and SIGTERM as something to look at between steps, so that a run stops where it can go on."""

from __future__ import annotations

import os
import signal
import threading


class Stopper:
    """Turns the first SIGINT or SIGTERM into a number to look at between steps; the second acts at once."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> Stopper:
        mine = threading.current_thread() is threading.main_thread()  # Python lets no other thread handle signals
        self.before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM) if mine}
        return self

    def _note(self, number: int, frame) -> None:
        """The handlers stay: were they set back here, Python would drop a signal that came a moment later, and say so
        in a traceback."""
        if self.number is None:
            self.number = number
        elif callable(handler := self.before[number]):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            os.kill(os.getpid(), number)

    def __exit__(self, *exception) -> None:
        for n, handler in self.before.items():
            signal.signal(n, handler)
