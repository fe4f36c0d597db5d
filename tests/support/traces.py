"""What the doctor would have written down of a pass through D and a move, by hand."""

import numpy as np

from minigan.gan.diagnosis.trace import NOWHERE, Call, Move, Pass


def traced(player: str, **slopes: np.ndarray) -> list:
    """The rows of one player's pass and move: D's outputs 0.998 on reals and 0.002 on fakes, with these slopes of the
    loss there."""
    offset = 10 if player == "G" else 0
    outputs = {"real": np.full((4, 1), 0.998), "fake": np.full((4, 1), 0.002)}
    calls = [
        Call(offset + k, "D", "", NOWHERE, True, True, [], outputs[side], np.full(4, side == "fake"), frozenset())
        for k, side in enumerate(slopes)
    ]
    event = Pass(offset + 5, NOWHERE, 0.0, slopes=dict(zip((c.number for c in calls), slopes.values(), strict=True)))
    move = Move(offset + 6, NOWHERE, f"opt{player}", "Adam", 1e-3, {player: 1.0}, 0, passes={player: {event.number}})
    return [*calls, event, move]
