"""Ctrl-C in the `minigan` command's own process: one line and status 130, from the first import on (cli/main.py)."""

import os
import signal
import sys
import threading


class Interrupt(KeyboardInterrupt):
    """Ctrl-C. Of its own type, since Python ends a process by the signal itself, without its exit status, once a plain
    KeyboardInterrupt has come through an `exec`, though it was caught afterwards."""


def is_command() -> bool:
    """Whether this process is `minigan ...` or `python -m minigan ...`, and no program that imports the package."""
    if sys.argv[:1] == ["-m"]:
        words = getattr(sys, "orig_argv", [])
        return "minigan" in words[1:] and words[words.index("minigan") - 1] == "-m"
    name = os.path.basename(sys.argv[0] if sys.argv else "")
    return name in ("minigan", "minigan.exe") or sys.argv[0].endswith(os.path.join("minigan", "__main__.py"))


def begin() -> None:
    """From here to `end`, Ctrl-C ends the process at once: nothing is there yet to be saved."""
    mine = threading.current_thread() is threading.main_thread()
    if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def end() -> None:
    """After `begin`: from here on Ctrl-C raises Interrupt; where a library's callback swallows it, again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _unraisable


def _stop(number: int, frame: object) -> None:
    os.write(2, b"stopped by Ctrl-C\n")
    os._exit(130)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupt


def _unraisable(event) -> None:
    if isinstance(event.exc_value, Interrupt):
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(event)
