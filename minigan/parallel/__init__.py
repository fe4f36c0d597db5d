"""One training on several processes: `minigan train --ranks N`.

mpi.py      the ranks of an MPI job: sums in the order of ranks, a signal or a failure that all learn of
nccl.py     the same with a GPU each, in whose memory gradients are added
launch.py   starts `mpiexec`, passes its lines on, and says in one line what ended it
pool.py     the cells of a table on the ranks of a job
follow.py   what the ranks beside the first do: train the same networks, and write nothing
"""
