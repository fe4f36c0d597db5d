"""Mistakes in what ranks do together, one piece of text each, by the test that must notice them."""

from source_mutants import SourceMutant

LOCKSTEP = "../parallel/test_lockstep"
NCCL, RANKS = "../cudasim/test_nccl", "../parallel/test_nccl_ranks"
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
    ("GPUs add in NCCL's order", "parallel.nccl:NcclRanks.ordered_sum",
     f"{RANKS}::test_a_sum_has_the_order_of_the_parts", "in_order(received.reshape(-1, width))",
     "in_order(received.reshape(-1, width)[::-1])"),
    ("a rank keeps its own slices", "parallel.nccl:NcclRanks.ordered_sum",
     f"{RANKS}::test_a_sum_has_the_order_of_the_parts", "all_to_all(slices, received)",
     "all_gather(slices[0], received, slices[0].size)"),
    ("collectives of other sizes meet", "cudasim.nccl:World.collectives", f"{NCCL}::test_a_mistake_is_named",
     "(call.name, call.shape) != (calls[0].name, calls[0].shape)", "call.name != calls[0].name"),
    ("a sum is anybody's at once", "cudasim.nccl:touched", f"{NCCL}::test_a_mistake_is_named",
     "stream not in writing.seen", "False"),
    ("an event is of every stream", "cudasim.standin:Event.record", f"{NCCL}::test_a_mistake_is_named",
     "if w.stream == self._stream or self._stream in w.seen", ""),
    ("a call reads its array when it runs", "cudasim.nccl:NCCLBackend._call",
     f"{NCCL}::test_a_call_returns_before_the_others_are_there_and_reads_what_its_array_held", "source._a.copy()",
     "source._a"),
    ("the simulated sum is in the order of ranks", "cudasim.nccl_calls:_reduced",
     f"{NCCL}::test_a_sum_has_no_order_that_one_may_count_on",
     "calls[-1].source.copy()\n    for call in calls[-2::-1]:", "calls[0].source.copy()\n    for call in calls[1:]:"),
)
# fmt: on

PARTS = [SourceMutant(f"minigan.{where}", old, new, what, killed_by) for what, where, killed_by, old, new in ROWS]
