"""minigan.learn: exercises that grade themselves, from a gradient by hand to a race in a CUDA kernel.

exercise.py says what an exercise is, sources.py how its file is cut from the project's own, tracks/ has the exercises.
grading.py grades a text in this process, watched.py, checks.py and cuda.py are what graders are made of; process.py
grades in another process, with limits, and folder.py keeps the learner's files. The command is minigan/cli/learn.py.
"""
