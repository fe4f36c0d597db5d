"""What the options of several commands share."""

from pathlib import Path

import click

from .._terminal import printable

DEVICES = "Where to compute: cpu, cuda, cudasim or cudasim:check."
PICTURE = "Picture to write: .png, .jpg or .webp."

DATA = "Where the run's folder of images lies now, if it has moved."


def echo(text: object) -> None:
    """Print a line, with escapes in place of what a terminal would act on."""
    click.echo(printable(text))


def free(folder: Path, name: str) -> Path:
    """The path of a file that is not there yet: the name in the folder, or with a number."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path


class Destination(click.Path):
    """A file to write. What is no regular file, a device above all, is refused before anything is done."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def check(self, path: Path) -> None:
        """Raises ValueError or OSError where the path cannot be written."""
        from .._files import destination

        destination(path)

    def convert(self, value, param, ctx):
        """The path."""
        path = super().convert(value, param, ctx)
        try:
            self.check(path)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        except OSError as error:
            raise click.ClickException(str(error)) from error
        return path


class Picture(Destination):
    """A file to write a picture to, whose ending says in which format; another is refused before anything is done."""

    def check(self, path: Path) -> None:
        from ..viz import picture_format

        picture_format(path)
        super().check(path)


SEED = click.IntRange(0, 2**64 - 1)
IMAGES = click.IntRange(1, 100_000)
ROWS = click.IntRange(1, 256)
COLUMNS = click.IntRange(2, 1000)
SCALE = click.IntRange(1, 64)
STEPS = click.IntRange(1, 10**9)
SOME = click.IntRange(1, 1000)
"""Numbers have an upper end, too: beyond it stands a slip of the finger, and no machine's memory."""

FOLDER = click.Path(file_okay=False, path_type=Path)
"""A folder to write into, which may not exist yet."""


class Seeds(click.ParamType):
    """Numbers parted by commas, each once."""

    name = "seeds"

    def convert(self, value, param, ctx):
        """The numbers, as a tuple."""
        if isinstance(value, tuple):
            return value
        seeds = tuple(SEED.convert(part.strip(), param, ctx) for part in value.split(","))
        if len(set(seeds)) < len(seeds):
            self.fail(f"{value} names a seed twice", param, ctx)
        return seeds
