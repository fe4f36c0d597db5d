"""A graph as a picture: SVG, a page that folds it, and DOT for graphviz."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

from .graph import Box, Edge, Graph
from .table import ORDERS, shape
from .tape import Tape

WIDTH, GAP, LINE, TOP, LEFT, MOST = 264, 92, 15, 64, 26, 7
"""Pixels: of a box, between two columns, of a line of text, above and left of the grid; lines of ops in a box."""

LETTERS, BOLD = 35, 31
"""Letters that a box holds in a line, also of the widest usual font; of a bold line."""

MOST_BOXES = 400
"""Of a drawing in a notebook."""

COLOURS = (("#0b5fa5", "#e3eefa"), ("#117a5d", "#dcf1ea"), ("#b3500b", "#fdebdc"), ("#7b3fa0", "#f1e6f7"))
INK, FAINT = "#1b1f24", "#6a7280"


def svg(graph: Graph, title: str) -> str:
    """The graph as an SVG file."""
    heights = {part: max(_height(box) for box in graph.boxes if box.part == part) for part in graph.parts}
    tops, y = {}, TOP
    for part in graph.parts:
        tops[part] = y
        y += heights[part] + 34
    lefts = {order: LEFT + k * (WIDTH + GAP) for k, order in enumerate(graph.orders)}
    width, height = LEFT + len(graph.orders) * (WIDTH + GAP) - GAP + 26, y + 18
    places = [(lefts[box.order], tops[box.part]) for box in graph.boxes]
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="system-ui, sans-serif" font-size="11" role="img" aria-label="{_escaped(title)}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        "<defs>",
        *(
            _head(name, colour)
            for name, colour in (("saved", FAINT), *((f"o{k}", c[0]) for k, c in enumerate(COLOURS)))
        ),
        "</defs>",
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="600" fill="{INK}">{_escaped(title)}</text>',
    ]
    for order in graph.orders:
        words = f"order {order}: {ORDERS.get(order, 'a further gradient')}"
        colour = _colour(order)[0]
        pieces += [
            f'<text x="{lefts[order]}" y="{41 + LINE * k}" font-weight="600" fill="{colour}">{_escaped(line)}</text>'
            for k, line in enumerate(textwrap.wrap(words, BOLD))
        ]
    pieces += [_edge(edge, graph.boxes, places) for edge in graph.edges]
    for number, (box, place) in enumerate(zip(graph.boxes, places, strict=True)):
        pieces.append(_box(box, number, *place))
    pieces += [
        _nothing(lefts[order], tops[part])
        for part in graph.parts
        for order in graph.orders[1:]
        if _is_empty(graph, part, order)
    ]
    note = (
        "grey: a value computed earlier and read again; thick: by several boxes; dashed: nothing runs, because the"
        " gradient there is zero"
    )
    pieces.append(f'<text x="{LEFT}" y="{height - 10}" fill="{FAINT}">{note}</text>')
    return "\n".join([*pieces, "</svg>\n"])


def _is_empty(graph: Graph, part: str, order: int) -> bool:
    """Whether a part that has a lower order's gradient has none of this order."""
    orders = {box.order for box in graph.boxes if box.part == part}
    return order not in orders and order - 1 in orders and order > 1


def _colour(order: int) -> tuple[str, str]:
    return COLOURS[min(order, len(COLOURS) - 1)]


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
    )


def _text(box: Box) -> list[tuple[str, str]]:
    """(line, colour) of a box below its heading."""
    lines = box.lines()
    shown = lines if len(lines) <= MOST else [*lines[: MOST - 1], f"and {len(lines) - MOST + 1} kinds more"]
    rows = [(line, INK) for line in shown]
    if box.weights:
        rows.append(("weights: " + ", ".join(box.weights[:2]) + (" ..." if len(box.weights) > 2 else ""), FAINT))
    if box.left_out:
        rows.append((f"left out by need: {', '.join(box.left_out)}", FAINT))
    rows.append((f"{_number(box.flops)}FLOP, {_number(box.nbytes)}B", FAINT))
    return [(line if len(line) <= LETTERS else line[: LETTERS - 1] + "…", colour) for line, colour in rows]


def _height(box: Box) -> int:
    return 28 + LINE * len(_text(box))


def _number(value: float) -> str:
    """With a prefix of a thousand: 1.3 G."""
    for prefix in ("", "k", "M", "G", "T"):
        if value < 1000 or prefix == "T":
            return f"{value:.3g} {prefix}"
        value /= 1000
    raise AssertionError


def _box(box: Box, number: int, x: float, y: float) -> str:
    dark, pale = _colour(box.order)
    title = _escaped(f"{box.part}, order {box.order}: {len(box.rows)} ops")
    pieces = [
        f'<g id="g{number}" class="box"><title>{title}</title>',
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{_height(box)}" rx="6" fill="{pale}" stroke="{dark}"/>',
        f'<text x="{x + 9}" y="{y + 17}" font-weight="600" fill="{dark}">{_escaped(_tail(box.part))}</text>',
    ]
    for k, (line, colour) in enumerate(_text(box)):
        pieces.append(f'<text x="{x + 9}" y="{y + 17 + LINE * (k + 1)}" fill="{colour}">{_escaped(line)}</text>')
    return "\n".join([*pieces, "</g>"])


def _tail(part: str) -> str:
    return part if len(part) <= BOLD else "…" + part[1 - BOLD :]


def _nothing(x: float, y: float) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="34" rx="6" fill="none" stroke="{FAINT}"'
        ' stroke-dasharray="4 3"/>'
        f'<text x="{x + 9}" y="{y + 21}" fill="{FAINT}">nothing: None means zero</text>'
    )


def _edge(edge: Edge, boxes: Sequence[Box], places: Sequence[tuple[float, float]]) -> str:
    """Down or up inside a column, with the shape beside; across from one column to another, in grey. What several boxes
    read is thicker."""
    source, target = boxes[edge.source], boxes[edge.target]
    (x0, y0), (x1, y1) = places[edge.source], places[edge.target]
    tall, words = _height(source), " ".join(map(shape, edge.shapes))
    way = f"{source.part}, order {source.order} to {target.part}, order {target.order}"
    title = f"<title>{_escaped(f'{way}: {words}')}</title>"
    width = f'stroke-width="{2 if edge.shared else 1}"'
    if source.order != target.order:
        start, end = (x0 + WIDTH, y0 + min(tall, 40) / 2), (x1, y1 + min(_height(target), 40) / 2 + 8)
        bend = (end[0] - start[0]) / 2
        path = f"M{start[0]} {start[1]} C{start[0] + bend} {start[1]} {end[0] - bend} {end[1]} {end[0]} {end[1]}"
        style = f'fill="none" stroke="{FAINT}" {width} stroke-opacity="0.55" marker-end="url(#saved)"'
        return f'<path d="{path}" {style}>{title}</path>'
    dark, mark = _colour(source.order)[0], f"url(#o{min(source.order, len(COLOURS) - 1)})"
    down = y1 > y0
    start_y, end_y = (y0 + tall, y1) if down else (y0, y1 + _height(target))
    middle = x0 + WIDTH / 2 + (-26 if down else 26)
    near = abs(end_y - start_y) < 130
    if near:
        path, label = f"M{middle} {start_y} L{middle} {end_y}", (middle + 5, (start_y + end_y) / 2 + 4)
    else:  # around the boxes between
        side = x0 - 16 if down else x0 + WIDTH + 16
        edge_x = x0 if down else x0 + WIDTH
        start_y, end_y = y0 + tall / 2, y1 + _height(target) / 2
        path = f"M{edge_x} {start_y} C{side} {start_y} {side} {end_y} {edge_x} {end_y}"
        label = None
    piece = f'<path d="{path}" fill="none" stroke="{dark}" {width} marker-end="{mark}">{title}</path>'
    if label is not None:
        text = shape(edge.shapes[0]) + (f" +{len(edge.shapes) - 1}" if len(edge.shapes) > 1 else "")
        piece += f'<text x="{label[0]}" y="{label[1]}" font-size="9.5" fill="{dark}">{_escaped(text)}</text>'
    return piece


def dot(tape: Tape, graph: Graph, title: str) -> str:
    """Every op as a node, for graphviz: a cluster for each box, shapes on the edges."""
    lines = [f"digraph {_quoted(title)} {{", "  node [shape=box, style=filled, fontsize=10];", "  edge [fontsize=8];"]
    makers: dict[int, int] = {}
    for number, box in enumerate(graph.boxes):
        dark, pale = _colour(box.order)
        lines.append(
            f"  subgraph cluster_{number} {{ label={_quoted(f'{box.part}, order {box.order}')}; color={_quoted(dark)};"
        )
        for row in box.rows:
            lines.append(
                f"    n{row.number} [label={_quoted(row.op)}, fillcolor={_quoted(pale)}, color={_quoted(dark)}];"
            )
        lines.append("  }")
    for row in tape.rows:
        for value, size in zip(row.inputs, row.shapes, strict=True):
            if value in makers:
                lines.append(f"  n{makers[value]} -> n{row.number} [label={_quoted(shape(size))}];")
        for value in row.outputs:
            makers[value] = row.number
    return "\n".join([*lines, "}\n"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 16px; }}
.picture {{ overflow-x: auto; }} svg .box {{ cursor: pointer; }}
details {{ border-left: 4px solid var(--dark); background: var(--pale); margin: 6px 0; padding: 6px 10px; }}
summary {{ cursor: pointer; font-weight: 600; }} .scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 12px; }}
td, th {{ padding: 2px 8px; text-align: left; white-space: nowrap; }}
</style></head><body><main>
<h1>{title}</h1>
<p>A column for each order of derivative, a row for each part of the networks. A click on a box unfolds its ops.</p>
<p><button type="button" id="unfold">Unfold all</button> <button type="button" id="fold">Fold all</button></p>
<div class="picture" tabindex="0" role="region" aria-label="The graph">{picture}</div>
{parts}
</main>
<script>
const all = [...document.querySelectorAll("details")];
document.getElementById("unfold").onclick = () => all.forEach(d => d.open = true);
document.getElementById("fold").onclick = () => all.forEach(d => d.open = false);
document.querySelectorAll("svg .box").forEach(g => g.onclick = () => {{
  const d = document.getElementById("b" + g.id.slice(1)); d.open = true; d.scrollIntoView({{block: "center"}});
}});
</script></body></html>
"""


def page(graph: Graph, title: str) -> str:
    """The graph as one HTML page, each box's ops folded below the picture."""
    parts = []
    for number, box in enumerate(graph.boxes):
        dark, pale = _colour(box.order)
        cells = "".join(
            f"<tr><td>{row.number}</td><td>{_escaped(row.op)}</td><td>{_escaped(row.equation)}</td>"
            f"<td>{' '.join(map(shape, row.shapes))}</td><td>{' '.join(map(shape, row.results))}</td>"
            f"<td>{_number(row.flops)}</td><td>{1000 * row.seconds:.3f}</td>"
            f"<td>{_escaped(', '.join(row.kernels))}</td></tr>"
            for row in box.rows
        )
        parts.append(
            f'<details id="b{number}" style="--dark:{dark};--pale:{pale}">'
            f"<summary>{_escaped(box.part)}, order {box.order}: {len(box.rows)} ops</summary>"
            f'<div class="scroll" tabindex="0" role="region" aria-label="The ops of box {number}"><table>'
            "<tr><th>no</th><th>op</th><th>equation</th>"
            f"<th>from</th><th>to</th><th>FLOP</th><th>ms</th><th>kernels</th></tr>{cells}</table></div></details>"
        )
    return PAGE.format(title=_escaped(title), picture=svg(graph, title), parts="\n".join(parts))


def _html_of(graph: Graph) -> str:
    """For notebooks: the drawing, or a word where it would be too large for one."""
    if len(graph.boxes) > MOST_BOXES:
        return f"<div>{len(graph.boxes):,} boxes are too many for a notebook; minigan graph draws them to a file</div>"
    return svg(graph, f"{len(graph.boxes)} boxes")


Graph._repr_html_ = _html_of  # type: ignore[attr-defined]  # here, since a drawing imports the graph
