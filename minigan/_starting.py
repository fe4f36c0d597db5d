"""Ctrl-C while the `minigan` command is still importing: one line and status 130, as afterwards (cli/main.py)."""

import os
import signal
import sys
import threading


def is_command() -> bool:
    """Whether this process is `minigan ...` or `python -m minigan ...`, and no program that imports the package."""
    if sys.argv[:1] == ["-m"]:
        words = getattr(sys, "orig_argv", [])
        return "minigan" in words[1:] and words[words.index("minigan") - 1] == "-m"
    return os.path.basename(sys.argv[0] if sys.argv else "") in ("minigan", "minigan.exe")


def _stop(number: int, frame: object) -> None:
    os.write(2, b"stopped by Ctrl-C\n")
    os._exit(130)


def begin() -> None:
    """From here to `end`, Ctrl-C ends the process at once: nothing is there yet to be saved."""
    mine = threading.current_thread() is threading.main_thread()
    if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def end() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)
