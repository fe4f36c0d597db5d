"""What the options of several commands share."""

DEVICES = "Where to compute: cpu, cuda, cudasim or cudasim:check."
