"""The `minigan` command, a file a group of commands: each reads its options, calls the library and prints."""

from .main import main

__all__ = ["main"]
