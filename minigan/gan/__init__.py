"""GANs on top of the engine: losses, penalties, networks, metrics and the training loop."""
