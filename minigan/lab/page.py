"""`minigan lab`: one HTML file in which a GAN of points trains live, computed by the small engine in web/.

The sources are plain JavaScript, each one subject and one name that later ones use; the page is their text, one after
the other. Names, formulas, papers and the pairs that do not go together are written into it from the Python tables, so
that each stands in one place.

    philox.js    the random numbers of kernels/random.py    engine.js     derivatives of any order
    losses.js    gan/losses.py, gan/penalties.py            networks.js   perceptrons, Adam
    data.js      gan/toy/data.py                            trainer.js    gan/toy/trainer.py, by half-steps
    games.js     gan/theory/games.py                        settings.js   settings, the address
    presets.js   what to try                                controls.js   fields
    draw.js      the plane on a canvas                      charts.js     curves, games, eigenvalues
    pictures.js  what is drawn at every frame               own_points.js points drawn or pasted
    games_view.js  the view of tiny games                   page.js       the whole
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from ..gan.losses import LOSSES
from ..gan.penalties import PENALTIES
from ..gan.tricks import INCOMPATIBLE, TRICKS

WEB = Path(str(files("minigan"))) / "lab" / "web"
ENGINE = ("philox", "engine", "losses", "networks", "data", "trainer", "games")
FACE = ("settings", "presets", "draw", "charts", "controls", "own_points", "pictures", "games_view", "page")
MOST_BYTES = 2 << 20
"""The largest page."""


def tables() -> dict:
    """What the page says of losses, penalties and tricks, ready for JSON."""
    return {
        "losses": {
            name: {
                "formula": row.formula,
                "convention": row.convention,
                "paper": row.paper,
                "sign": row.sign,
                "output": str(row.output),
                "relativistic": row.relativistic,
                "lipschitz": row.lipschitz,
            }
            for name, row in LOSSES.items()
        },
        "penalties": {name: {"formula": row.formula, "paper": row.paper} for name, row in PENALTIES.items()},
        "tricks": {name: text.partition(" (gan.")[0].partition(" (optim.")[0] for name, text in TRICKS.items()},
        "incompatible": INCOMPATIBLE,
    }


def engine() -> str:
    """The tables and the parts that compute, as one script."""
    return "\n".join([f"const TABLES = {_json(tables())};", *map(script, ENGINE)])


def page(version: str = "") -> str:
    """The whole page, which needs no other file and no network."""
    parts = {
        "STYLE": _text("page.css"),
        "SCRIPT": "\n".join([engine(), *map(script, FACE)]),
        "VERSION": version,
    }
    html = _text("page.html")
    for name, text in parts.items():
        html = html.replace(f"<!--{name}-->", text).replace(f"/*{name}*/", text)
    return html


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def script(name: str) -> str:
    """A source; each says "use strict" for itself, and the first one says it for all."""
    text = _text(f"{name}.js").removeprefix('"use strict";\n')
    if "</script" in text.lower():
        raise ValueError(f"lab: {name}.js would end the script it stands in; write <\\/script")
    return text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")
