"""What the lectures prove, in closed form: games of two players, divergences and distances, f-GAN's bounds."""
