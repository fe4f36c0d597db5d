"""What a list of runs says of each: the newest figures, and the newest checkpoint's step."""

import json

import numpy as np

from minigan import checkpoint
from minigan.gan.records import OPTIONS, list_runs, metrics_of


def test_a_run_stands_where_its_newest_files_say(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / OPTIONS).write_text(json.dumps({"system": "dcgan", "data": "digits", "steps": 30}))
    lines = [{"step": step, "results": {"confident": share}} for step, share in ((10, 0.25), (20, 0.5))]
    (folder / "metric-classifier.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for step in (10, 20):
        checkpoint.save(folder, step, {"x": np.zeros(1)}, {})
    (row,) = list_runs(tmp_path)
    assert (row["steps_done"], row["steps"], row["confident"]) == (20, 30, 0.5)
    assert metrics_of(folder) == {"confident": 0.5}


def test_the_figures_are_those_of_the_run_s_end(tmp_path):
    """A later look at an older checkpoint, or at few samples, replaces nothing; where a run never ended, the newest
    look counts."""
    path = tmp_path / "metric-classifier.jsonl"
    rows = [(20, "run", 0.5), (10, "eval", 0.1), (20, "eval", 0.2)]
    path.write_text("".join(json.dumps({"step": n, "by": by, "results": {"x": x}}) + "\n" for n, by, x in rows))
    assert metrics_of(tmp_path) == {"x": 0.5}
    path.write_text("".join(json.dumps({"step": n, "by": by, "results": {"x": x}}) + "\n" for n, by, x in rows[1:]))
    assert metrics_of(tmp_path) == {"x": 0.2}
