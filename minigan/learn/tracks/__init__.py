"""The exercises, a track a file."""
