"""Mistakes in the model of many ranks, one piece of text each, by the test that must notice them."""

from source_mutants import SourceMutant

HERE = "../scaling/test_scaling"
# fmt: off
ROWS = (
    # (what is wrong, function of minigan.scaling, test that notices, text as it is, text as it is not)
    ("slices travel once", "sums:costs", "test_a_sum_message_by_message_takes_its_closed_form",
     "(parts + 1) * size", "size"),
    ("a ring stops half way", "sums:rounds", "test_every_rank_hears_of_every_other", "range(2 * (ranks - 1))",
     "range((ranks - 1) // 2)"),
    ("a tree of another number forgets a rank", "sums:rounds", "test_every_rank_hears_of_every_other",
     "ceil(np.log2(ranks))", "int(np.log2(ranks))"),
    ("a message waits for nobody", "sums:run", "test_a_sum_message_by_message_takes_its_closed_form",
     "times[step.sources] + latency", "ready[step.sources] + latency"),
    ("a tree's sum is not sent back", "sums:costs", "test_a_sum_message_by_message_takes_its_closed_form",
     "return 2 * depth, 2 * depth * size", "return depth, depth * size"),
    ("the words are forgotten", "simulate:Steps.__call__", "test_where_nothing_fails_the_simulator_is_the_model",
     "return float(times.max()) + word", "return float(times.max())"),
    ("slow ranks are forgotten", "simulate:Steps.__call__", "test_one_slow_rank_delays_a_step_by_what_it_is_slow",
     "own * self.factors * drawn", "own * drawn"),
    ("what is lost counts from the last step", "simulate:run", "test_the_simulated_mean_is_daly_s",
     "lost += work + (failure - now)", "lost += failure - now"),
    ("a failure goes back to the last step", "simulate:run", "test_the_simulated_mean_is_daly_s",
     "now, done, work, failures = failure, saved, 0.0", "now, done, work, failures = failure, done, 0.0"),
    ("Young forgets the 2", "faults:young", "test_young_s_and_daly_s_intervals", "sqrt(2 * cost", "sqrt(cost"),
    ("Daly forgets to take the checkpoint off", "faults:daly", "test_young_s_and_daly_s_intervals", " - cost", ""),
    ("a checkpoint costs nothing", "faults:expected", "test_the_simulated_mean_is_daly_s",
     "expm1((interval + cost) / between)", "expm1(interval / between)"),
    ("a word is no message", "model:step_features", "test_where_nothing_fails_the_simulator_is_the_model",
     "(len(work.sums) + 1) * word", "0 * word"),
    ("half efficiency is of one rank twice", "model:half_efficient", "test_where_more_ranks_stop_paying",
     "- 2 * waiting", "- waiting"),
    ("a rank without images", "tables:quickest", "test_the_quickest_number_of_ranks_has_an_image_each",
     "if 1 << k <= batch", "if True"),
)
# fmt: on

SCALING = [
    SourceMutant(f"minigan.scaling.{where}", old, new, what, f"{HERE}::{name}") for what, where, name, old, new in ROWS
]
