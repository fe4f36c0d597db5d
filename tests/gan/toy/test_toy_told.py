"""What is said of toy runs and of the real points beside them, by numbers that are known."""

from types import SimpleNamespace

from minigan.gan.toy import data as toydata
from minigan.gan.toy import nulls, protocol
from minigan.gan.toy import run as toyrun


def test_real_data_stand_as_far_from_others_of_theirs():
    """Beside null models: about the floor, not 0."""
    points = toydata.load("ring")
    row = nulls.null_scores(points, 250)[nulls.REALS]
    floor = toydata.scores(points.sample(250, 9), points)["w1_floor"]
    assert 0.3 * floor < row["w1"] < 3 * floor


def test_the_milliseconds_of_a_protocol_cell_are_of_its_own_steps(monkeypatch, tmp_path):
    now = [0.0]

    class Seconds:
        steps_done = 0

        def __init__(self, options):
            pass

        def state(self):
            return SimpleNamespace(restore=lambda arrays, state: None, save=lambda: ({}, {}))

        def train(self, every):
            while self.steps_done < 100:
                self.steps_done += 1
                now[0] += 1
            yield self.steps_done

        def figures(self):
            return {"reverse_kl": 0.5}

    monkeypatch.setattr(protocol.time, "process_time", lambda: now[0])
    monkeypatch.setattr(protocol, "ToyTrainer", Seconds)
    monkeypatch.setattr(protocol.cells, "saved", lambda *_: SimpleNamespace(arrays={}, state={}, step=90))
    monkeypatch.setattr(protocol.cells, "save", lambda *_: None)
    figures = protocol.train(protocol.options("ring", "GAN", 11, 100), tmp_path)
    assert figures["ms_per_step"] == 1000.0


def test_the_line_of_points_has_w1_before_its_floor():
    line = toyrun.line({"w1": 0.5, "w1_floor": 0.02})
    assert line == "W1 0.5000 (reals among themselves 0.0200)"
