"""`minigan bench`: whole training steps and single ops, minigan against the frameworks that are installed.

`workloads.py` says what is computed, as data. `in_minigan.py`, `in_torch.py`, `in_tensorflow.py` and `in_jax.py`
compute it, each as a user of that framework writes it. `worker.py` runs one of them in a process of its own, `run.py`
lets the workers take turns, `report.py` shows what came out. `roof.py` measures what the machine can do, `predict.py`
foretells steps by it, `growth.py` shows cost as work grows, `quality.py` times training until the digits are good.
`device.py` times the kernels of a GPU, `device_steps.py` whole steps on it, both beside PyTorch (`device_torch.py`).
Importing this package imports no framework.
"""
