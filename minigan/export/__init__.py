"""Ways out to other tools: a trained network as an ONNX graph and as weights that PyTorch loads, a run as event files.

parts.py     the networks of a run, and what each of them takes
forward.py   a forward pass as a list of op calls, with its batch axis found by running it twice
graph.py     the calls as a graph of ONNX's kinds of nodes, in arrays and names alone
onnx.py      the graph as an ONNX file
program.py   the graph as a program for the interpreter in web/, which a browser runs
controls.py  what a generator takes, as things to move
page.py      a generator in one HTML file
torch.py     the weights as a .safetensors file, and the lines of PyTorch that rebuild the network
tensorboard.py   a run's figures and samples as TensorBoard event files
"""
