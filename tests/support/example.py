"""Runs an example in this process, so that its kernels and imports are those that other tests loaded."""

import io
import runpy
from contextlib import chdir, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from minigan.backend import default_generator

FIRST = {"seed": 0, "stream": 0, "step": 0}
"""The state of the default generator in a new process."""


def example(name: str, *args: str, cwd: Path) -> str:
    """What `python -m minigan.examples.NAME ARGS` prints, run in folder `cwd`; it fails where the example does."""
    output, state = io.StringIO(), default_generator.state_dict()
    default_generator.load_state_dict(FIRST)
    try:
        with chdir(cwd), redirect_stdout(output), patch("sys.argv", [name, *args]):
            runpy.run_module(f"minigan.examples.{name}", run_name="__main__")
    except SystemExit as end:
        assert not end.code, f"exit status {end.code}\n{output.getvalue()}"
    finally:
        default_generator.load_state_dict(state)
    return output.getvalue()
