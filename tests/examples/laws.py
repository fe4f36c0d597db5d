"""What theory says of every number that an example prints: the table of test_printed.py, in the form of printed.py.

A row is a run: the routine one in a quick setting, the slow one as the example is. Where they differ the laws are the
same, and only tolerances say how far training came.
"""

import laws_closed as closed
import laws_trained as trained
from law import Law

LAWS: list[tuple[str, Law]] = [
    ("00_scalar_engine", closed.scalar_engine()),
    ("01_gradients", closed.gradients()),
    ("02_your_own_op", closed.own_op()),
    ("10_optimal_discriminator", trained.optimal_discriminator(("--steps", "60"), 1.0, False)),
    ("10_optimal_discriminator", trained.optimal_discriminator((), 0.005, True)),
    ("11_saturation", closed.saturation()),
    ("12_bilinear_game", closed.bilinear_game()),
    ("13_dirac_gan", closed.dirac_gan(60, False)),
    ("13_dirac_gan", closed.dirac_gan(500, True)),
    ("14_gan_eigenvalues", closed.gan_eigenvalues()),
    ("15_earth_mover", closed.earth_mover()),
    ("16_divergences", closed.divergences()),
    ("17_parallel_lines", closed.parallel_lines()),
    ("18_iterated_optimal_d", closed.iterated_optimal_d()),
    ("19_js_tells_little", trained.js_tells_little(("--steps", "60"), 0.2, False)),
    ("19_js_tells_little", trained.js_tells_little((), 0.98, True)),
    ("20_fgan_table", trained.fgan_table(2, False)),
    ("20_fgan_table", trained.fgan_table(600, True)),
    ("21_clipping", trained.clipping(60, False)),
    ("21_clipping", trained.clipping(200, True)),
    ("22_mixture_by_likelihood", trained.mixture_by_likelihood(50, False)),
    ("22_mixture_by_likelihood", trained.mixture_by_likelihood(100, True)),
    ("23_failures", trained.failures()),
    ("24_seeing_diversity", closed.seeing_diversity()),
    ("25_label_smoothing", closed.label_smoothing()),
    ("26_sphere", closed.sphere()),
    ("28_sparse_gradients", trained.sparse_gradients()),
    ("29_critic_and_w1", trained.critic_and_w1(40, False)),
    ("29_critic_and_w1", trained.critic_and_w1(300, True)),
    ("30_slide_bilinear", closed.slide_bilinear()),
    ("31_slide_js_half", closed.slide_js_half()),
    ("32_slide_margin", closed.slide_margin()),
    ("33_slide_critic_sign", closed.slide_critic_sign()),
    ("34_slide_clip_gradients", closed.slide_clip_gradients()),
    ("35_slide_loop_count", closed.slide_loop_count()),
    ("36_slide_one_batch", trained.slide_one_batch()),
    ("37_slide_one_sided", closed.slide_one_sided()),
    ("42_critic_too_strong", trained.critic_too_strong(64, False)),
    ("42_critic_too_strong", trained.critic_too_strong(400, True)),
    ("43_mode_collapse", trained.mode_collapse(12, False)),
    ("43_mode_collapse", trained.mode_collapse(1500, True)),
    ("44_diverging_rates", trained.diverging_rates(4, False)),
    ("44_diverging_rates", trained.diverging_rates(400, True)),
    ("45_two_routes", trained.two_routes(4, False)),
    ("45_two_routes", trained.two_routes(300, True)),
    ("46_smooth_evolution", closed.smooth_evolution()),
    ("47_never_sees_the_data", trained.never_sees_the_data(2, False)),
    ("47_never_sees_the_data", trained.never_sees_the_data(1000, True)),
    ("48_overgeneralisation", trained.overgeneralisation(12, False)),
    ("48_overgeneralisation", trained.overgeneralisation(3000, True)),
]
