"""Mistakes that one would make in writing `auto_capture`: each makes one of its worlds fail."""

import pytest
import test_auto
import test_auto_eager
from source_mutants import SourceMutant, applied

EAGER = {kind.__name__: (word, kind) for word, kind in test_auto_eager.EAGER}

# fmt: off
MUTANTS = [
    ("watched:Call._looked_over", "if not guard.holds():", "if False:", "what it changes passes", "counts"),
    ("watched:Call._looked_over", "for t in self._alive():", "for t in []:", "tensors may outlive it", "keeps"),
    ("watched:Call._looked_over", "if not _is_ours(line):", "if False:", "any op will do", "OwnOp"),
    ("watched:Call._looked_over", "any(id(end) in arguments for end in self.rest)", "False", "an argument is returned",
     "ReturnsArgument"),
    ("watched:Call._memory", "if id(owner(root.array)) in inputs:", "if False:", "it changes arguments",
     "changes_argument"),
    ("watched:Watch.data_read", 'self.refuse(refusal("a value', 'str(("a value', "values are read", "reads"),
    ("watched:Watch.changed_in_place", "kernel(*map(array_of, targets), *map(array_of, sources))", "pass",
     "changes are noted only", "Plain"),
    ("watched:Replay.run_on", "np.copyto(array, array_of(x))", "pass", "arguments stay", "Plain"),
    ("watched:Replay.run_on", 'Tensor(array_of(g).copy(order="K"))', "g", "a .grad is overwritten", "Grads"),
    ("watched:Replay.takes", "in self.owners", "in ()", "an argument may change meanwhile", "Aliased"),
    ("watched:Call.plan", "exact=True", "exact=False", "rewrites that round", "Plain"),
    ("effects:Traces.__call__", "not _is_pure(arg)", "False", "any function may be called", "prints"),
    ("effects:Traces.__call__", "not _is_quiet(frame)", "False", "any module may be called", "logs"),
    ("reach:Reach.__call__", "code in MOVES", "False", "generators are set", "own_generator"),
    ("auto:_layout", "array.shape, ", "", "shapes do not count", "Shapes"),
    ("auto:_layout", "array.strides", "0", "layouts do not count", "Layouts"),
    ("auto:Program.eager", "if call.fits()", "if True", "the first of two calls need not fit", "AccumulatesAndSteps"),
]
# fmt: on


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[3])
def test_the_worlds_notice(mutant):
    where, *texts, name = mutant
    mutant = SourceMutant(f"minigan.capture.{where}", *texts, name)
    with applied(mutant), pytest.raises((AssertionError, ValueError, TypeError)):
        if name in EAGER:
            test_auto_eager.test_what_a_replay_would_leave_out_stays_eager(*EAGER[name])
        elif (kind := getattr(test_auto, name, None)) in test_auto.CAPTURED:
            test_auto.test_captured_bits_are_the_eager_ones(kind)
        else:
            assert test_auto.check(getattr(test_auto_eager, name)).replays == 0
