"""`minigan learn` as its user meets it: begin, fail, ask for a hint, pass, go on; and nothing of the user's is lost."""

import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from minigan.cli import learn, main
from minigan.learn import process, table
from minigan.learn.exercise import GAP
from minigan.learn.folder import Folder
from minigan.learn.grading import grade

TANH = table.exercise("tanh")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder; grades are taken in this process, as test_process.py says they may."""
    monkeypatch.chdir(tmp_path)

    def grade_file(exercise, path, seconds=0.0):
        return process.Grade(tuple(grade(exercise, path.read_text(), path.name)))

    monkeypatch.setattr(process, "grade_file", grade_file)
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["learn", *words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def figures(*words: str, code: int = 0):
    return json.loads(run(*words, "--json", code=code).splitlines()[-1])


def write(exercise, program: str) -> Path:
    path = Folder(Path("minigan-learn")).file(exercise)
    path.write_text(exercise.file(program))
    return path


def test_it_begins_with_the_first_and_goes_on_to_the_next():
    first, second = list(table.exercises().values())[:2]
    out = run()
    assert first.title in out and "minigan-learn/gradients/scalar_rules.py" in out
    assert first.title in run()  # an untouched file is not graded: the question again
    write(first, first.mutant(0))
    assert "not yet" in run(code=1)
    write(first, first.solution)
    assert f"next: {second.name}" in run()
    assert second.title in run()
    assert Path("minigan-learn/progress.txt").read_text() == "scalar-rules passed\nscalar-walk open\n"


def test_one_may_start_anywhere():
    assert TANH.title in run("tanh")
    assert "tanh" in run("hint")
    assert run("tanf", code=2).endswith("`minigan learn list` names them\n")
    assert "did you mean tanh" in run("tanf", code=2)


def test_a_failure_says_where_what_and_a_thought():
    run("tanh")
    write(TANH, TANH.mutant(1))
    (finding,) = figures("tanh", code=1)["findings"]
    assert all(word in finding for word in ("order-1", "element", "differences say", "look at vjp"))


def test_hints_come_one_by_one_and_after_success_too():
    run("tanh")
    first, second = run("hint"), run("hint")
    assert TANH.hints[0] in first and TANH.hints[1] in second and TANH.hints[1] not in first
    assert all(h in run("hint") for h in TANH.hints)
    write(TANH, TANH.solution)
    run("tanh")
    assert TANH.hints[0] in run("hint", "tanh")


def test_help_before_an_exercise_is_begun_is_remembered():
    """One line of progress.txt, which does not begin the exercise."""
    first = TANH.hints[0]
    assert first in run("hint", "tanh") and first not in run("hint", "tanh")
    assert "1 - y * y" not in run("answer", "tanh") and "1 - y * y" in run("answer", "tanh")
    assert Path("minigan-learn/progress.txt").read_text() == "tanh new hints=2 answer=2\n"
    assert "scalar-rules" in run()


def test_an_answer_is_shown_when_it_is_asked_for_twice():
    run("tanh")
    assert "1 - y * y" not in run("answer")
    assert "1 - y * y" in run("answer")
    assert Folder(Path("minigan-learn")).row("tanh").answer == 2


def test_reset_keeps_a_copy():
    run("tanh")
    path = write(TANH, "my own work")
    for number in (1, 2):
        out = run("reset", "tanh")
        copy = path.with_name(f"tanh.{number}.py.bak")
        assert str(copy) in out and GAP in path.read_text()
        assert "my own work" in copy.read_text()
        write(TANH, "my own work")
    run("reset", "tanh")
    assert "your file is" not in run("reset", "tanh")  # the skeleton itself is not kept


def test_skip_and_progress():
    run()
    assert "next: scalar-walk" in run("skip")
    assert figures("list")[0] == {
        "name": "scalar-rules",
        "track": "gradients",
        "state": "skipped",
        "title": table.exercise("scalar-rules").title,
    }
    run("tanh")
    write(TANH, TANH.solution)
    run("tanh")
    numbers = figures("progress")
    assert numbers["passed"] == 1 and numbers["of"] == len(table.exercises())
    assert run("skip", "tanh").startswith("tanh: passed")


def test_when_nothing_is_left():
    Path("mine").mkdir()
    Path("mine/progress.txt").write_text("".join(f"{name}\n" for name in table.exercises()))  # a name alone is passed
    assert "no exercise is left" in run("--dir", "mine")
    assert "no exercise is at hand" in run("hint", "--dir", "mine", code=2)
    assert figures("--dir", "mine", "progress")["passed"] == len(table.exercises())


def test_the_states_of_others_are_left_alone():
    Path("minigan-learn").mkdir()
    record = Path("minigan-learn/progress.txt")
    record.write_text("# my notes\nold-exercise passed\n\ntanh skipped hints=2\n")
    run("tanh")
    assert record.read_text() == "# my notes\nold-exercise passed\n\ntanh open hints=2\n"
    record.write_bytes(b"\xff\xfe")
    assert "is no text" in run("list", code=2)


def test_inside_the_folder_it_is_the_folder(monkeypatch):
    run("tanh")
    monkeypatch.chdir("minigan-learn")
    run("tanh")
    assert not Path("minigan-learn").exists()


@pytest.mark.parametrize("text", [b"todo passed\nmilk\n", b"\xff\xfe"])
def test_somebody_else_s_progress_is_not_touched(text, here):
    Path("progress.txt").write_bytes(text)
    run("tanh")
    assert Path("progress.txt").read_bytes() == text and Path("minigan-learn/progress.txt").exists()


def test_watch_grades_each_save_and_goes_on(monkeypatch):
    """Saves come from another thread; the loop ends when the last exercise is passed."""
    names = ("tanh", "leaky-relu")
    monkeypatch.setattr(table, "exercises", lambda: {n: table.track("gradients")[n] for n in names})
    monkeypatch.setattr(learn.time, "sleep", lambda seconds: threading.Event().wait(0.002))

    def save():
        for name in names:
            exercise = table.exercise(name)
            path = Folder(Path("minigan-learn")).file(exercise)
            for program in (exercise.mutant(0), exercise.solution):
                while not path.exists():
                    time.sleep(0.005)
                threading.Event().wait(0.05)
                path.write_text(exercise.file(program))

    saver = threading.Thread(target=save)
    saver.start()
    out = run("watch")
    saver.join()
    assert out.count("not yet") >= 1 and out.count("passed (") == 2 and "no exercise is left" in out


def test_words_of_the_command_are_no_exercises():
    assert not set(main.commands["learn"].commands) & set(table.exercises())
