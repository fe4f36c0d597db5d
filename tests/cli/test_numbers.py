"""Absurd numbers for every numeric option of every command: one answered line, never a traceback.

Each command is asked for what is not there (a run, a data set, a file), so a number that is accepted costs nothing.
"""

import click
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.gan.options import CommonOptions
from minigan.gan.run import Run
from minigan.gan.systems.table import SYSTEMS, options_for
from minigan.gan.tables import grid_page, normal_runs, thousand
from minigan.gan.toy import options_for as toy_options_for
from minigan.gan.toy import scoreboard
from minigan.parallel import launch
from minigan.testing import nightly

VALUES = [
    "0",
    "-1",
    "1e30",
    "nan",
    "inf",
    "-inf",
    "x",
    "",
    "1" + "0" * 30,
    "-1" + "0" * 30,
    "1" + "0" * 400,
    "9" * 5000,
]
VALUES += ["18446744073709551616", "1.5", "1e-400", "1_0", "\u0663", "0x10", "\u221e", "1e400"]


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


NUMERIC = [
    (path, command, option)
    for path, command in commands(main)
    for option in command.params
    if isinstance(option, click.Option)
    and isinstance(option.type, (click.types.IntParamType, click.types.FloatParamType))
]


def system_for(name: str) -> str:
    return next((row.name for row in SYSTEMS.values() if name in row.takes), "wgan-gp")


@pytest.mark.parametrize(
    ("path", "command", "option"), NUMERIC, ids=[f"{' '.join(p)} {o.opts[-1]}" for p, _, o in NUMERIC]
)
def test_absurd_numbers_are_answered(path, command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = ((place, "run") for place in (scoreboard, grid_page, thousand, normal_runs))
    for place, name in (*tables, (nightly, "parts"), (launch, "launch")):
        monkeypatch.setattr(place, name, lambda *_, **__: (_ for _ in ()).throw(ValueError("not here")))
    arguments = ["absent.x" for p in command.params if isinstance(p, click.Argument) and p.required]
    if path == ("train",):
        arguments = [system_for(option.name), "--data", "absent", "--dry-run"]
    elif path in (("gradcheck",), ("bench",), ("results",), ("nightly",), ("scale",), ("torture",)):
        arguments = ["absent"]
    wrong = []
    for value in VALUES:
        result = CliRunner().invoke(main, [*path, *arguments, option.opts[-1], value])
        last = result.output.strip().splitlines()[-1] if result.output.strip() else ""
        if (
            result.exit_code not in (1, 2)
            or not last.startswith("Error: ")
            or not isinstance(result.exception, SystemExit)
        ):
            wrong.append((value[:40], result.exit_code, repr(result.exception)[:200], last[:200]))
    assert not wrong
    assert not list(tmp_path.iterdir())


HUGE = ["1" + "0" * 30, "-1" + "0" * 30, "18446744073709551616", "1" + "0" * 400, "99999999999999999999"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one step."""
    folder = tmp_path_factory.mktemp("numbers") / "run"
    run = Run.create(options_for("wgan-gp", steps=1, batch_size=2, base=1, n_critic=1, latent=2), folder)
    run.rows.append(run.trainer.step())
    run._save()
    return str(folder)


ON_RUNS = [row for row in NUMERIC if any(p.name in ("run", "data_name") for p in row[1].params)]


@pytest.mark.parametrize(
    ("path", "command", "option"), ON_RUNS, ids=[f"{' '.join(p)} {o.opts[-1]}" for p, _, o in ON_RUNS]
)
def test_numbers_beyond_all_memory_are_answered_for_a_run_that_is_there(
    path, command, option, trained, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    arguments = ["digits" if path == ("classifier",) else trained, *(["x.png"] if path == ("translate",) else [])]
    for value in HUGE:
        result = CliRunner().invoke(main, [*path, *arguments, option.opts[-1], value])
        assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (value[:40], result.exception)
        assert option.opts[-1] in result.output.splitlines()[-1]


RECORD = [None, True, "5", -1, 0, 1.5, float("nan"), float("inf"), 10**30, 10**400, [], {}]


@pytest.mark.parametrize("name", SYSTEMS)
def test_options_have_types_and_ends(name):
    """A wrong value is a ValueError that names the option; a value that is taken is of the option's type."""
    for key in SYSTEMS[name].takes:
        for value in RECORD:
            try:
                options = options_for(name, **{key: value})
            except ValueError as error:
                assert len(str(error)) < 500
                continue
            kind = next(f for f in type(options).__dataclass_fields__.values() if f.name == key).type
            assert kind in ("int", "float", "bool", "str") and not (kind != "bool" and isinstance(value, bool)), (
                key,
                value,
            )
            assert kind == "str" or abs(value) < (1e300 if kind == "float" else 2**64), (key, value)


def test_options_of_points_have_ends():
    for key in ("steps", "batch_size", "seed", "n_critic", "gp_weight", "pack", "unroll", "latent", "width", "depth"):
        for value in (-1, float("nan"), float("inf"), 10**30):
            if (key, value) != ("gp_weight", 10**30):
                with pytest.raises(ValueError, match=key):
                    toy_options_for("ring", "wgan-gp", **{key: value})
    assert CommonOptions().seed == 0
