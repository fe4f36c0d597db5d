"""`python -m minigan`: the same as the `minigan` command."""

from .cli import main

main()
