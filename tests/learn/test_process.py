"""A learner's file may do what it likes: it is graded in a process of its own, one line says what it did, and nothing
outside is changed."""

from pathlib import Path

import pytest

from minigan.learn import process, table
from minigan.learn.grading import grade, grade_guarded

TANH = table.exercise("tanh")
RIGHT = TANH.file(TANH.solution)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "tanh.py"


def test_the_process_says_what_the_grader_says(file):
    """And shows what the file prints, to a length."""
    text = "for i in range(999):\n    print(i)\n" + TANH.file(TANH.mutant(0))
    file.write_text(text)
    answer = process.grade_file(TANH, file)
    assert list(answer.findings) == grade(TANH, text) and not answer.passed
    assert answer.printed.splitlines()[:2] == ["0", "1"]
    assert len(answer.printed.splitlines()) == process.LINES + 1 and answer.printed.endswith("[and more]")


def test_nothing_outside_is_changed(file):
    """Each line is refused; what remains of the file is right, and passes."""
    attempts = ["open(FILE + '.txt', 'w')", "open(FILE, 'a')", "os.remove(FILE)", "os.rename(FILE, FILE + 'x')"]
    attempts += [
        "os.replace(open('new', 'w').name, FILE)",
        "os.symlink('new', FILE + 's')",
        "os.link('new', FILE + 'l')",
    ]
    attempts += ["shutil.rmtree(os.path.dirname(FILE))", "os.mkdir(FILE + 'd')", "os.system('true')"]
    attempts += ["socket.create_connection(('127.0.0.1', 9))"]
    lines = "".join(f"try:\n    {a}\nexcept PermissionError:\n    print('refused')\n" for a in attempts)
    text = f"import os, shutil, socket\nFILE = {str(file)!r}\n{lines}open('scratch', 'w').write('mine')\n{RIGHT}"
    file.write_text(text)
    answer = process.grade_file(TANH, file)
    assert answer.passed and answer.printed.split() == ["refused"] * len(attempts)
    assert file.read_text() == text and list(file.parent.iterdir()) == [file]


HOSTILE = {
    "ends the process": ("import os; os._exit(0)", "ended the process before the grader was done"),
    "never ends": ("while True: pass", "was not done after"),
    "prints without end": ("while True: print('x' * 1000)", "printed more than 200,000 bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_stops_a_process_is_told_in_one_line(case, file):
    line, words = HOSTILE[case]
    file.write_text(f"{line}\n{RIGHT}")
    answer = process.grade_file(TANH, file, seconds=2 if case == "never ends" else 60)
    assert len(answer.findings) == 1 and words in answer.findings[0]
    assert "\n" not in answer.findings[0] and len(answer.printed) <= process.SHOWN + 20


IN_PROCESS = {
    "does not parse": ("def f(:", "tanh.py, line 26: this is not Python yet"),
    "sys.exit": ("import sys; sys.exit(0)", "ends the program"),
    "raises": ("1 / 0", "tanh.py, line 26: ZeroDivisionError"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "changes a grader": (
        "import minigan.learn.checks as c; c.check = lambda *a, **k: []",
        "changes minigan.learn.checks.check",
    ),
    "changes a tolerance": (
        "import minigan.testing.gradcheck as g; g.TOLERANCE = 9.0",
        "changes minigan.testing.gradcheck",
    ),
    "changes a method": ("from minigan import Tensor; Tensor.sum = Tensor.mean", "changes minigan"),
    "changes NumPy": ("import numpy as np; np.abs = np.sign", "changes numpy"),
    "null bytes": ("x = '\0'", "not Python yet"),
    "lacks a name": ("del Tanh", "defines no `Tanh`"),
}


@pytest.fixture
def unchanged():
    """Sets back what the case changed, as a process of its own would have."""
    import numpy as np

    from minigan import Tensor
    from minigan.learn import checks
    from minigan.testing import gradcheck

    places = [(checks, "check"), (gradcheck, "TOLERANCE"), (Tensor, "sum"), (np, "abs")]
    saved = [(place, name, getattr(place, name)) for place, name in places]
    yield
    for place, name, value in saved:
        setattr(place, name, value)


@pytest.mark.parametrize("case", IN_PROCESS)
def test_what_a_text_does_is_told_in_one_line(case, unchanged):
    line, words = IN_PROCESS[case]
    (finding,) = grade_guarded(TANH, RIGHT + line)
    assert words in finding and "\n" not in finding


@pytest.mark.parametrize("mark", TANH.marks)
def test_marks_that_are_gone(mark):
    (finding,) = grade(TANH, RIGHT.replace(mark, "# mine"))
    assert mark in finding and "reset tanh" in finding


def test_a_skeleton_says_what_is_missing():
    assert "still to be written" in grade(TANH, TANH.file(TANH.skeleton))[0]


def test_a_byte_order_mark_is_no_mistake(file):
    """Editors on Windows write one."""
    file.write_bytes(b"\xef\xbb\xbf" + RIGHT.encode())
    assert process.grade_file(TANH, file).passed


def test_bytes_that_are_no_text(file):
    file.write_bytes(b"\xff\xfe\0")
    assert "no text" in process.grade_file(TANH, file).findings[0]
