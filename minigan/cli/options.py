"""What the options of several commands share."""

from pathlib import Path

import click

DEVICES = "Where to compute: cpu, cuda, cudasim or cudasim:check."
PICTURE = "Picture to write: .png, .jpg or .webp."


class Picture(click.Path):
    """A file to write a picture to, whose ending says in which format; another is refused before anything is done."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value, param, ctx):
        """The path."""
        from ..viz import picture_format

        path = super().convert(value, param, ctx)
        try:
            picture_format(path)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return path
