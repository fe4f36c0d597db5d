"""Faults by the hundred: what `minigan torture` does to runs, files, kernels and servers, and must find survived.

lines.py       a line: a claim, a number of cases, each drawn from the seed and its own number; how it is run
suite.py       the lines one after another, a state that can be gone on with, a page
world.py       the smallest run, what it leaves behind, processes forked to do it
damage.py      bytes that are changed, cut, swapped
checkpoints, disks, stops, numbers, machines, fuzz, files, web      the lines by subject
"""
