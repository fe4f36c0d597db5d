"""`python -m minigan`: the same as the `minigan` command; under `python -m mpi4py`, a rank of a job."""

import sys

if "mpi4py" in sys.modules:
    import mpi4py.MPI  # noqa: F401  # from here on a rank that ends badly, wherever that is, ends the others

from .cli import main

main()
