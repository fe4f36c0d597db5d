"""Looks at the pictures that a piece of code writes, as matplotlib holds them."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from matplotlib.figure import Figure


def unnamed_axes(figure: Figure) -> list[str]:
    """The axes of a figure, already drawn, that show tick labels and have no name; sheets of images show none."""
    missing = []
    for number, axes in enumerate(figure.axes):
        for axis, side in ((axes.xaxis, "x"), (axes.yaxis, "y")):
            labels = [label for label in axis.get_ticklabels(which="both") if label.get_visible() and label.get_text()]
            if axes.axison and labels and not axis.get_label().get_text().strip():
                missing.append(f"{side} of panel {number} ({axes.get_title() or axes.get_title(loc='left')!r})")
    return missing


@contextmanager
def named_axes() -> Iterator[list[Figure]]:
    """The figures written inside; raises AssertionError where one has an axis without a name."""
    figures, write = [], Figure.savefig

    def savefig(self, *args, **settings):
        figures.append(self)
        write(self, *args, **settings)
        assert not (missing := unnamed_axes(self)), f"axes without a name: {', '.join(missing)}"

    with patch.object(Figure, "savefig", savefig):
        yield figures
