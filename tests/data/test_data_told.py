"""Captions of faces that would contradict themselves."""

import numpy as np
from worlds import CAPTIONED, face

from minigan.data import captions


def test_a_hat_hides_whether_a_head_is_bald():
    """Two pixels of hair under a hat: short hair, or the caption "bald, red hat" would contradict itself."""
    image, values = face({"hat": "yes", "hat_colour": "red", "length": "bald"})
    (row,) = captions.facts(image[None], np.array([values]), CAPTIONED.info)
    assert captions.FACTS["length"][row[captions.NAMES.index("length")]] == "short"
