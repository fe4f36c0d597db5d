"""What is written goes to regular files only, through links, whole or not at all, and an error names the way out."""

import os
import resource
import socket
import stat

import click
import pytest
from click.testing import CliRunner

from minigan._files import append_line, atomic_write, destination
from minigan.cli import main
from minigan.cli.options import FOLDER, Destination
from minigan.gan.toy import run as toyrun
from minigan.gan.writing import new_folder

WRITERS = {
    "atomic_write": lambda path: atomic_write(path, "new\n"),
    "append_line": lambda path: append_line(path, "new"),
}


def odd(folder, kind: str):
    """A path at which no file can be written."""
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.chdir(folder)  # a socket's path is short
        socket.socket(socket.AF_UNIX).bind(kind)
    elif kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    else:
        path.symlink_to(path)
    return path


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "behind two links"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "link to itself"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, monkeypatch, write, kind, linked):
    monkeypatch.chdir(tmp_path)
    path = target = odd(tmp_path, kind)
    if linked:
        (tmp_path / "one").symlink_to(target)
        path = tmp_path / "two"
        path.symlink_to("one")
    before = {p.name: p.lstat().st_mode for p in tmp_path.iterdir()}
    with pytest.raises(OSError, match=f"cannot write {path}: .*; name a"):
        write(path)
    assert {p.name: p.lstat().st_mode for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_link_is_followed_and_stays_a_link(tmp_path, write, exists):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "file", tmp_path / "link"
    if exists:
        target.write_text("")
    link.symlink_to("far/file")
    write(link)
    assert link.is_symlink() and target.read_text() == "new\n"
    assert {p.name for p in tmp_path.rglob("*")} == {"far", "file", "link"}


def test_a_line_is_whole_or_not_there(tmp_path):
    """The kernel itself refuses a write in its middle, by a limit on the size of files; a cut line is ended first."""
    path = tmp_path / "stats.jsonl"
    append_line(path, "é" * 600)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1300, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write .*stats\.jsonl: .*; free some space"):
            append_line(path, "x" * 400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    path.write_bytes(b"one\ntw")
    append_line(path, "three")
    assert path.read_text() == "one\ntw\nthree\n"


def test_a_run_whose_folder_cannot_be_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    for start in (
        lambda out: new_folder(None, out, tmp_path),
        lambda out: new_folder(None, None, out),
        lambda out: toyrun._folder(None, out),
    ):
        with pytest.raises(OSError, match=r"cannot write .*/file/x: .*; name a folder that exists and can be written"):
            start(tmp_path / "file" / "x")


def test_a_destination_needs_a_folder(tmp_path):
    with pytest.raises(OSError, match="there is no such folder; name a folder that exists"):
        destination(tmp_path / "none" / "x.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="name a folder that exists"):
        destination(tmp_path / "file" / "x.png")


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


OUTS = [
    (path, option)
    for path, command in commands(main)
    for option in command.params
    if isinstance(option, click.Option) and {"-o", "--out"} & set(option.opts)
]


@pytest.mark.parametrize(("path", "option"), OUTS, ids=[" ".join(path) for path, _ in OUTS])
def test_every_command_refuses_before_it_does_anything(tmp_path, monkeypatch, path, option):
    """A pipe stands for a device here: with the check gone, writing to it would wait, or replace it."""
    monkeypatch.chdir(tmp_path)
    assert option.type is FOLDER or isinstance(option.type, Destination)
    if option.type is FOLDER:
        (tmp_path / "x.png").write_text("a file, not a folder")
    else:
        os.mkfifo(tmp_path / "pipe.png")
        for link in ("x.png", "x.svg", "x.gif"):
            (tmp_path / link).symlink_to("pipe.png")
    before = {p.name: p.lstat().st_mode for p in tmp_path.iterdir()}
    command, name = dict(commands(main))[path], {"graph": "x.svg", "film": "x.gif"}.get(path[0], "x.png")
    arguments = ["x" for p in command.params if isinstance(p, click.Argument) for _ in range(p.required)]
    result = CliRunner().invoke(main, [*path, *arguments, option.opts[-1], name])
    assert result.exit_code == (2 if option.type is FOLDER else 1), result.output
    assert name in result.output
    assert {p.name: p.lstat().st_mode for p in tmp_path.iterdir()} == before
