"""Ranks that are threads of one process, for tests of what ranks do together."""

import threading

import numpy as np

from minigan.parallel.mpi import MpiRanks


class Threads:
    """What mpi4py's communicator does, among the threads of one process."""

    def __init__(self, size):
        self.size, self.box, self.local = size, {}, threading.local()
        self.barrier = threading.Barrier(size, timeout=400)

    def Get_rank(self):
        return self.local.rank

    def Get_size(self):
        return self.size

    def allgather(self, value):
        self.box[self.Get_rank()] = value
        self.barrier.wait()
        values = [self.box[k] for k in range(self.size)]
        self.barrier.wait()
        return values

    def Alltoall(self, send, receive):
        receive[:] = [every[self.Get_rank()] for every in self.allgather(send)]

    def Allgather(self, send, receive):
        receive[:] = np.concatenate(self.allgather(send))

    def Allreduce(self, send, receive):
        receive[:] = np.sum(self.allgather(send)[::-1], axis=0)

    def run(self, function):
        """function(rank's MpiRanks) in each thread; the results, or what was raised."""
        results = [None] * self.size

        def work(rank):
            self.local.rank = rank
            try:
                results[rank] = function(MpiRanks(self))
            except Exception as error:
                results[rank] = error

        threads = [threading.Thread(target=work, args=(k,)) for k in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results
