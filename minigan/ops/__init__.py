"""The differentiable operations, a file a family: an op's kernel, derivative and reference stand beside each other."""
