"""What a generator eats, and what can be done with it: walks, arithmetic, ascent, search, edits.

    walks.py       paths between two latents; along codes, classes or directions
    arithmetic.py  glasses - plain + hat
    ascent.py      a score raised over the latents
    search.py      chains that ask for a condition, behind a learnt prior
    edit.py        the nearest sample that follows colours painted by hand
    factors.py     how many attributes one latent moves

Beneath them space.py (which numbers move, and their prior), targets.py (what can be asked for) and standing.py (the
table beside null models). Sources stand in each file.
"""

from .arithmetic import expression
from .ascent import ascend, random_search
from .edit import Paint, read_paint
from .factors import factors_of
from .search import chain, denoiser
from .space import Space, law_of, space_of
from .standing import Scale
from .targets import Reader, Target, target
from .walks import Walk, between, largest_step, require_latents, traverse, walks

__all__ = ["Paint", "Reader", "Scale", "Space", "Target", "Walk", "ascend", "between", "chain", "denoiser"]
__all__ += ["expression", "factors_of", "largest_step", "random_search", "read_paint", "require_latents"]
__all__ += ["law_of", "space_of", "target", "traverse", "walks"]
