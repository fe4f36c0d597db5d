"""What `minigan train -n` shows of a run before it is made: options, networks layer by layer, time and memory."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import asdict, fields

from .. import data
from ..nn.summary import short, summary
from .options import GROUPS, CommonOptions
from .systems.table import system, trainer_for
from .train import Trainer


def dry_run(options: CommonOptions) -> dict:
    """Figures of a run with these options, of which nothing is written: "options"; "networks", a list of layers each;
    "parameters"; "seconds_per_step" and "peak_memory_mib", measured on three steps here."""
    trainer = trainer_for(options, data.load(options.data, size=options.size))
    networks = trainer.trained()
    layers = {name: summary(network, trainer.generator_loss) for name, network in networks.items()}
    return {
        "options": asdict(options),
        "networks": {name: [asdict(row) for row in rows] for name, rows in layers.items()},
        "parameters": {name: sum(p.data.size for p in network.parameters()) for name, network in networks.items()},
        "seconds_per_step": _seconds(trainer),
        "peak_memory_mib": _peak_memory(),
    }


def text(options: CommonOptions, figures: dict) -> str:
    """The same for a person."""
    row = system(options.system)
    lines = [f"{row.name} on {options.data}: {row.what} ({row.paper})"]
    for group in GROUPS:
        values = {f.name: getattr(options, f.name) for f in fields(options) if f.metadata.get("group") == group}
        lines += ["", group] if values else []
        lines += [f"  {name:<18} {value if value != '' else '-'}" for name, value in values.items()]
    for name, layers in figures["networks"].items():
        lines += ["", f"{name}: {figures['parameters'][name]:,} parameters"]
        lines += [
            f"  {short(layer['layer']):<62} {'x'.join(map(str, layer['shape'])):>16} {layer['parameters']:>11,}"
            for layer in layers
        ]
    seconds = figures["seconds_per_step"]
    lines += [
        "",
        f"about {_duration(seconds * options.steps)} here for {options.steps:,} steps of {1000 * seconds:.0f} ms;"
        f" peak memory of this process {figures['peak_memory_mib']:,.0f} MiB; nothing was written",
    ]
    return "\n".join(lines)


def _seconds(trainer: Trainer) -> float:
    """Of one step: the quicker of two, after one that compiles and records."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for half_step in trainer.half_steps():
            half_step.feed()
            half_step.player.gradients()["objective"].item()
            half_step.player.move()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _peak_memory() -> float:
    """MiB that this process has held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
