"""What Linux says of processes."""

from pathlib import Path


def runs(number):
    """Whether a process is there and has not ended: one that waits to be noticed by its parent has."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(number):
    """The processes below one, all the way."""
    own = [int(n) for n in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    return own + [below for child in own for below in children(child)]
