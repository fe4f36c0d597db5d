"""How far more machines carry a training: `minigan scale`.

measure.py     times of steps and of sums on 1, 2 and 4 ranks, taken here
sums.py        ways to add the gradients of p ranks: messages, rounds, closed forms
model.py       seconds of a step from five constants, fitted to the times; what more ranks gain
faults.py      how often to write a checkpoint: Young, Daly, and the exact best
simulate.py    a run as events: stragglers, failures, checkpoints
tables.py      all of that as tables
"""
