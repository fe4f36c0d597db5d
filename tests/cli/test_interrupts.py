"""Ctrl-C is one line and status 130 wherever it comes; a scoreboard's processes end with the one that started them."""

import os
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from minigan.cli import main


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(commands(main)), ids=lambda x: " ".join(x) if isinstance(x, tuple) else ""
)
def test_in_every_command(path, command, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "callback", interrupted)
    arguments = [__file__ for p in command.params if isinstance(p, click.Argument) and p.required]
    for option in (p for p in command.params if isinstance(p, click.Option) and p.required):
        arguments += [option.opts[-1], __file__]
    result = CliRunner().invoke(main, [*path, *arguments])
    assert (result.exit_code, result.output) == (130, "stopped by Ctrl-C\n")


IMPORTING = "os.kill(os.getpid(), signal.SIGINT); time.sleep(30)"

RUNNING = """
from minigan.cli import main
@main.command()
def wait():
    callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
    callback()
    exec("time.sleep(30)")
main(["wait"])
"""


@pytest.mark.parametrize("code", [IMPORTING, RUNNING], ids=["importing", "running"])
def test_in_the_commands_own_process(code):
    """While it imports; and in a C library's callback, from which no exception comes back, and then through an exec,
    after which Python would end the process by the signal."""
    start = "import sys; sys.argv[0] = 'minigan'\nimport ctypes, os, signal, time, minigan\n"
    process = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=30)
    assert (process.returncode, process.stderr) == (130, "stopped by Ctrl-C\n")


def test_a_program_that_imports_the_package_keeps_its_signals():
    code = "import signal, minigan; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", code], check=True)


BOARD = """
import sys, time
from minigan.gan.toy import scoreboard
from waiting import cell
if __name__ == "__main__":
    scoreboard.cell = cell
    scoreboard.run("quick", sys.argv[1], jobs=2, losses=("hinge",))
"""
WAITING = """
import os, time
from pathlib import Path
def cell(options, folder):
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_scoreboards_processes_end_with_it(tmp_path, number):
    (tmp_path / "board.py").write_text(BOARD)
    (tmp_path / "waiting.py").write_text(WAITING)
    words = [sys.executable, str(tmp_path / "board.py"), str(tmp_path / "out")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while len(workers := list((tmp_path / "out").glob("*.pid"))) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -number
    assert errors.count("Traceback") == (number == signal.SIGINT), errors
    deadline = time.monotonic() + 10
    for path in workers:
        while _runs(int(path.stem)):
            assert time.monotonic() < deadline, "a worker goes on"
            time.sleep(0.05)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{number}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
