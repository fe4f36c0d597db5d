"""One runnable file a system, in reading order: `python -m minigan.examples.NAME`."""
