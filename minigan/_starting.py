"""Ctrl-C in the `minigan` command's own process: one line and status 130, from the first import on (cli/main.py)."""

import os
import signal
import sys


class Interrupt(KeyboardInterrupt):
    """Ctrl-C. Of its own type, since Python ends a process by the signal itself, without its exit status, once a plain
    KeyboardInterrupt has come through an `exec`, though it was caught afterwards."""


def is_command() -> bool:
    """Whether this process is `minigan ...` or `python -m minigan ...`, and no program that imports the package."""
    program = (getattr(sys, "argv", None) or [""])[0]
    if program == "-m":
        words = getattr(sys, "orig_argv", [])
        return "minigan" in words[1:] and words[words.index("minigan") - 1] == "-m"
    return os.path.basename(program) in ("minigan", "minigan.exe")


command = False
"""Whether `begin` was called: this process is the command, and ends with it."""


def begin() -> None:
    """From here to `end`, Ctrl-C ends the process at once: nothing is there yet to be saved."""
    global command
    command = True
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _stop)
        except ValueError:  # in a thread other than the first, where Python sets no signals
            return


def end() -> None:
    """After `begin`: from here on Ctrl-C raises Interrupt; where a library's callback swallows it, again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _unraisable


def _stop(number: int, frame: object) -> None:
    rank = os.environ.get("PMI_RANK", "0") if "mpi4py" in sys.modules else None
    if rank in (None, "0"):
        os.write(2, b"stopped by Ctrl-C\n")
    if rank is not None:  # the other ranks would wait for one that has exited before it joined them
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(130)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupt


def _unraisable(event) -> None:
    if isinstance(event.exc_value, Interrupt):
        import threading  # not before `begin`: each import is time in which Ctrl-C is a traceback

        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(event)
