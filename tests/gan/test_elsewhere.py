"""A run of another machine, whose device is not here: its options are read, it is sampled, judged and gone on with on a
device that is; a new one for that device is refused before anything is done."""

import json
from dataclasses import replace

import pytest

from minigan import backend
from minigan.backend import DeviceError
from minigan.gan import restart
from minigan.gan.run import Run
from minigan.gan.systems import options_for, options_from
from minigan.gan.toy import options as toy_options
from minigan.gan.toy import run as toy_run
from minigan.gan.toy.options import ToyOptions

SMALL = {"data": "digits", "steps": 1, "batch_size": 4, "base": 4, "size": 32, "latent": 8}


@pytest.fixture
def no_gpu(monkeypatch):
    def absent(name):
        if name == "cuda":
            raise DeviceError("device 'cuda' cannot be used: the driver finds no GPU")
        return original(name)

    original = backend.module_of
    monkeypatch.setattr(backend, "module_of", absent)


def elsewhere(monkeypatch, folder):
    """The run in a folder, as if it were of a GPU."""
    original = restart.checkpoint.resolve

    def resolve(*args):
        saved = original(*args)
        saved.state["options"]["device"] = "cuda"
        return saved

    monkeypatch.setattr(restart.checkpoint, "resolve", resolve)
    return str(folder)


def test_a_run_of_a_gpu_is_at_home_everywhere(tmp_path, monkeypatch, no_gpu):
    Run.create(options_for("dcgan", **SMALL), tmp_path / "run").train()
    spec = elsewhere(monkeypatch, tmp_path / "run")
    generator, options, _ = restart.load_generator(spec)
    assert options.device == "cpu" and {p.device for p in generator.parameters()} == {"cpu"}
    with pytest.raises(DeviceError, match="no GPU"):
        Run.resume(spec, steps=2)
    run = Run.resume(spec, steps=2, device="cpu")
    run.train()
    assert run.trainer.steps_done == 2
    assert json.loads((tmp_path / "run" / "training_options.json").read_text())["device"] == "cpu"


def test_a_new_run_for_a_device_that_is_not_here_is_refused(no_gpu):
    with pytest.raises(DeviceError, match="no GPU"):
        options_for("dcgan", device="cuda", **SMALL)
    with pytest.raises(DeviceError, match="no GPU"):
        toy_options.options_for("ring", "gan", device="cuda")
    record = {"system": "dcgan", "device": "cuda", "data": "digits"}
    assert options_from(record).device == "cuda"
    for make in (options_from, lambda record: replace(ToyOptions(), device=record["device"])):
        with pytest.raises(ValueError, match="unknown device 'gpu'; known devices: 'cpu', 'cuda'"):
            make(record | {"device": "gpu"})


def test_a_toy_run_of_a_gpu_is_judged_without_one(tmp_path, no_gpu):
    options = toy_options.options_for("ring", "gan", steps=1, batch_size=8, width=4, depth=1)
    toy_run.run(options, tmp_path / "toy")
    path = tmp_path / "toy" / "figures.json"
    record = json.loads(path.read_text())
    record["options"]["device"] = "cuda"
    path.write_text(json.dumps(record))
    assert toy_run.evaluate(tmp_path / "toy", count=50)["steps"] == 1
