"""What is wrong with a GAN that does not train? `minigan doctor`, from one step of a user's own code or from a run."""
