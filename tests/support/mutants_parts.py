"""Mistakes in what ranks do together, one piece of text each, by the test that must notice them."""

from source_mutants import SourceMutant

LOCKSTEP = "../parallel/test_lockstep"
# fmt: off
ROWS = (
    # (what is wrong, function of minigan, test that notices, text as it is, text as it is not)
    ("a cotangent stays with its part", "ops.across:AcrossParts.vjp",
     f"{LOCKSTEP}::test_batch_norm_across_parts_is_that_of_the_whole_batch", "AcrossParts(self.group)(g)", "g"),
    ("the variance is of each part's own mean", "ops.across:batch_norm_across",
     f"{LOCKSTEP}::test_batch_norm_across_parts_is_that_of_the_whole_batch",
     "x - _channel(m, x)", "x - _channel(sum(x, _axes(x)) * group.count / count, x)"),
    ("the running variance is biased", "ops.across:batch_norm_across",
     f"{LOCKSTEP}::test_batch_norm_across_parts_is_that_of_the_whole_batch", "count / (count - 1)", "1"),
    ("a part finds what the one before it put into a pool", "gan.parts:Parts.gradients",
     f"{LOCKSTEP}::test_two_ranks_have_the_bits_of_one_process", "(*every, *pools), (*before, *old)",
     "every, before"),
    ("what parts put into a pool is averaged", "gan.parts:Parts.gradients",
     f"{LOCKSTEP}::test_a_pool_holds_what_the_parts_put_into_it", "self.count * change", "change"),
    ("the sum of the parts is not corrected", "gan.parts:Parts.gradients",
     f"{LOCKSTEP}::test_the_past_of_optimistic_steps_is_the_whole_batch_s", "trainer.correct(player.params)", "pass"),
    ("all parts take the same places of a pool", "gan.systems.cyclegan:CycleGAN.feed",
     f"{LOCKSTEP}::test_places_in_a_pool_are_each_taken_by_one_part", "part * options.batch_size + ", ""),
    ("each part draws an order of the pool's places of its own", "gan.systems.cyclegan:CycleGAN.feed",
     f"{LOCKSTEP}::test_places_in_a_pool_are_each_taken_by_one_part", 'self.streams["pool"])',
     'self.random["pool"].stream)'),
    ("parts of one process are added the other way round", "gan.lockstep:Seat.ordered_sum",
     f"{LOCKSTEP}::test_parts_in_turn_on_several_ranks_are_added_in_one_order", "chain(*every)", "chain(*every[::-1])"),
    ("a part that fails is not noticed", "gan.lockstep:Turns.meet",
     f"{LOCKSTEP}::test_a_part_that_fails_ends_the_step_of_all", "self.result = failure or combine(self.values)",
     "self.result = None"),
)
# fmt: on

PARTS = [SourceMutant(f"minigan.{where}", old, new, what, killed_by) for what, where, killed_by, old, new in ROWS]
