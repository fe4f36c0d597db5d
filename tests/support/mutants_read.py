"""Mistakes that fresh readers put into systems, games and figures, and that no test noticed then: one piece of text
each, by the test that must notice them, as in mutants_systems.py.
"""

from source_mutants import SourceMutant

CODES = "systems/test_code_objectives::test_what_a_system_with_codes_observes"
UPSCALING = "systems/test_upscaling::test_who_is_as_good_by_one_figure_wins"
BALLS = "latents/test_targets::test_a_ball_reaches_to_the_third_nearest_and_no_further"
POINTS = "systems/test_switches::test_g_s_gradient_passes_through_the_points_of_a_penalty"
# fmt: off
ROWS = (
    # (what is wrong, function of minigan, test that notices, text as it is, text as it is not)
    ("squared distances beside radii", "gan.latents.standing:Scale.near", BALLS,
     "distances <= self.balls[:, None]", "distances <= np.sqrt(self.balls[:, None])"),
    ("the bound is of training images", "gan.systems.vae:VariationalTrainer.observe", CODES,
     "self.nats(held_out, random)", "self.nats(train, random)"),
    ("the decoder that knows nothing knows held-out images", "gan.systems.vae:VariationalTrainer.observe", CODES,
     "train.mean(0, keepdims=True)", "held_out.mean(0, keepdims=True)"),
    ("blur is beside training images", "gan.systems.vae:VariationalTrainer.observe", CODES,
     "random), held_out)", "random), train)"),
    ("the bound is the networks' of the moment", "gan.systems.vae:VariationalTrainer.nats",
     "systems/test_code_objectives::test_nats_are_the_bound_on_all_images", "self.average.module", "self.generator"),
    ("codes are fitted to held-out images", "gan.systems.ae:CodeTrainer.observe", CODES,
     "self.encode(train)", "self.encode(held_out)"),
    ("sharpness is beside training images", "gan.systems.ae:CodeTrainer.observe", CODES,
     "gradient_energy(held_out)", "gradient_energy(train)"),
    ("the prior is beside training images' codes", "gan.systems.ae:CodeTrainer.observe", CODES,
     "self.encode(held_out, random)", "self.encode(train, random)"),
    ("the prior is beside means, not draws", "gan.systems.ae:CodeTrainer.observe", CODES,
     "self.encode(held_out, random)", "self.encode(held_out)"),
    ("SSIM does not count", "gan.systems.srgan:UpscaleTrainer.observe", UPSCALING,
     'or row["ssim"] >= ours["ssim"] ', ""),
    ("the spectrum does not count", "gan.systems.srgan:UpscaleTrainer.observe", UPSCALING,
     ' or row["spectral"] <= ours["spectral"]', ""),
    ("a null model wins by both figures only", "gan.systems.nextframe:_as_good",
     "systems/test_next_frames::test_a_null_model_wins_by_either_figure", 'ours["error"] or', 'ours["error"] and'),
    ("real images stand for noise", "gan.tables.equal_time:_figures",
     "test_equal_time::test_a_cell_fills_its_minutes_and_is_judged_by_the_test_half",
     'seen["null_models"]["noise"]', 'seen["details"]["real"]'),
    ("copies know nothing", "gan.compare:null_scores", "test_compare::test_the_judge_compares_with_the_test_half",
     "row.criteria == null_models.LEARNT", "row.criteria"),
    ("another class is the first other one", "gan.metrics.realism:realistic_class",
     "metrics/test_realism::test_other_classes_are_all_the_others",
     "prepared(dataset, evenly_spaced(others, count))", "prepared(dataset, others[:count])"),
    ("running means forget at twice the rate", "gan.toy.networks:published_generator",
     "toy/test_toy_objectives::test_batch_norm_of_the_published_generator_has_a_long_memory",
     "momentum=0.05", "momentum=0.1"),
    ("reals are shown without noise", "gan.toy.trainer:ToyTrainer._adversarial",
     "toy/test_toy_objectives::test_noise_lies_on_all_that_the_critic_sees",
     "self.seen(self.packed(self.real))", "self.packed(self.real)"),
    ("the reference batch is normalised by a member more", "gan.tricks:VirtualBatchNorm.forward",
     "test_tricks::test_the_reference_batch_of_virtual_batch_norm_goes_by_its_own_statistics",
     "return (x - mean_r) * (weight / sqrt(variance_r + self.eps)) + bias", "pass"),
    ("a penalty's points leave G's graph", "gan.train:Trainer.with_penalty", POINTS,
     "real, fake, eps, self.attached)", "real, fake, eps)"),
    ("shared points leave G's graph", "gan.systems.plain:TrickTrainer.critic_objective", POINTS,
     ", attached=self.attached)", ")"),
    ("a page draws for who draws nothing", "export.parts:parts",
     "../report/test_run_page::test_every_system_has_parts_and_images_to_show",
     'names == ("latents",) and drawn()', 'drawn() is not None and names == ("latents",) and drawn()'),
    ("codes stand for images", "report.collect:_samples",
     "../report/test_run_page::test_every_system_has_parts_and_images_to_show",
     "images.shape[1:] == shape", "images.ndim == 4"),
    ("a title is mathematics", "viz.curves:plot_curves", "../test_viz::test_a_title_is_no_mathematics",
     ", parse_math=False", ""),
    ("a short run is smoothed", "viz.curves:_draw_panel",
     "../test_viz::test_few_rows_are_not_smoothed_and_bands_are_named_once",
     "len(value) // 40", "max(1, len(value) // 40)"),
    ("curves score other samples than the verdict", "gan.toy.run:run",
     "toy/test_pictures::test_the_last_scores_of_the_curves_are_the_verdict_s",
     "mode_scores(trainer.sample(toydata.SAMPLES), ", "mode_scores(trainer.sample(toydata.SAMPLES, 1), "),
    ("a normal run's D may say more than 1", "gan.bands:of",
     "test_bands::test_no_normal_run_has_a_probability_above_one", "min(1.0, v)", "v"),
)
# fmt: on
READ = [SourceMutant(f"minigan.{where}", old, new, what, test) for what, where, test, old, new in ROWS]
