"""Ways out to other tools: a trained network as an ONNX graph and as weights that PyTorch loads, a run as event files.

parts.py     the networks of a run, and what each of them takes
forward.py   a forward pass as a list of op calls, with its batch axis found by running it twice
onnx.py      the calls as an ONNX graph
torch.py     the weights as a .safetensors file, and the lines of PyTorch that rebuild the network
tensorboard.py   a run's figures and samples as TensorBoard event files
"""
