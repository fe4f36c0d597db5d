"""The pages that `minigan docs` shows."""
