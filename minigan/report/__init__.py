"""One HTML page of a run, with nothing outside of it: `minigan report RUN`.

walk.py      a walk through the networks: activations, kernels, and the gradients that images get
collect.py   everything the page shows, as one table of numbers and pictures
page.py      the table in its page; web/ holds the page's HTML, CSS and JavaScript
"""

from .collect import collect
from .page import page

__all__ = ["collect", "page"]
