"""What srgan minimises, by hand; frozen features; any image of any size, without seams."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from worlds import WORLD, Formula, close, gradient_of, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.cli import main
from minigan.data.picture import Picture, read_picture
from minigan.functional import interpolate, leaky_relu, softplus
from minigan.gan.metrics import classifier
from minigan.gan.networks.upscaler import Upscaler, upscaler_init_
from minigan.gan.run import Run
from minigan.gan.systems import options_for, srgan
from minigan.gan.systems.srgan import enlarged_picture

RNG = np.random.default_rng(4)
JUDGE = classifier.Classifier(1, 3, seed=8)


def judged(monkeypatch):
    """A judge of the small world's classes, of random weights."""
    monkeypatch.setattr(srgan.classifier, "load", lambda _: (JUDGE, {"classes": list(WORLD.class_names)}))


def small(**changes):
    return trainer("srgan", WORLD, scale=2, **{"blocks": 1, **changes})


def block_means(x):
    return mg.tensor(x.numpy().reshape(3, 1, 4, 2, 4, 2).mean((3, 5)))


def features(x):
    weights = [(layer.weight, layer.bias) for layer in (JUDGE.conv[0], JUDGE.conv[2])]
    layers = []
    for w, b in weights:
        w, b = (mg.tensor(p.detach().numpy().astype(np.float64)) for p in (w, b))
        x = leaky_relu(mg.functional.conv2d(x, w, b, 2, 1), 0.1)
        layers.append(x)
    return layers


@pytest.mark.parametrize(("content", "adversarial"), [(0.0, 0.3), (0.7, 0.0), (0.7, 0.3)])
def test_pixels_features_and_critic(content, adversarial, monkeypatch):
    judged(monkeypatch)
    t = small(content=content, adversarial=adversarial)
    t.feed()
    real = t.batch["real"]
    fake = t.generator(block_means(real))
    expected = mg.mean(mg.square(fake - real))
    if content:
        pairs = zip(features(fake), features(real), strict=True)
        expected = expected + content * sum(mg.mean(mg.square(a - b)) for a, b in pairs) / 2
    if adversarial:
        t.critic = Formula(lambda x: x[:, 0, 1, 2] + mg.square(x).mean((1, 2, 3)))
        expected = expected + adversarial * mg.mean(softplus(-t.critic(fake)))
        close(t.critic_loss()[0], mg.mean(softplus(-t.critic(real))) + mg.mean(softplus(t.critic(fake))))
        assert gradient_of(t.critic_loss()[0], t.generator) is None
    assert (t.critic is None) == (not adversarial)
    close(t.generator_loss()[0], expected)


def test_the_mse_twin_has_neither_critic_nor_features():
    """And no judge is asked for."""
    t = small(objective="mse")
    t.feed()
    real = t.batch["real"]
    close(t.generator_loss()[0], mg.mean(mg.square(t.generator(block_means(real)) - real)))
    assert t.critic is None and not t.memory
    t.step()
    assert not any(name.startswith("critic") for name in t.state()[0])


def test_the_features_are_the_judge_s_and_do_not_learn(monkeypatch):
    """After a step as before; no player moves them; a checkpoint holds them, for a resumed run to compare by."""
    judged(monkeypatch)
    t = small(lr=0.1)
    t.step()
    for k, layer in enumerate((JUDGE.conv[0], JUDGE.conv[2])):
        for kind in ("weight", "bias"):
            now = t.memory[f"{kind}_{k}"]
            assert np.array_equal(now.numpy(), getattr(layer, kind).detach().numpy()) and not now.requires_grad
            assert np.array_equal(t.state()[0][f"memory.{kind}_{k}"], now.numpy())
    moved = {id(p) for player in t.players.values() for p in player.optimiser.param_groups[0]["params"]}
    assert not moved & {id(value) for value in t.memory.values()}


def test_a_network_begins_near_the_bilinear_enlargement():
    network = upscaler_init_(Upscaler(3, 4, 4, 2), Generator(1, 1)).double()
    x = mg.tensor(RNG.uniform(-1, 1, (2, 3, 5, 7)))
    y = network(x)
    assert y.shape == (2, 3, 20, 28)
    plain = interpolate(x, scale_factor=4, mode="bilinear").numpy()
    assert np.abs(y.detach().numpy() - plain).std() < np.abs(plain).std() / 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3), (70, 9), (64, 130)])
def test_tiles_leave_no_seam(height, width, monkeypatch):
    """An image in tiles is the image at once, to rounding: each tile comes with all that its pixels depend on."""
    t = small(objective="mse")
    monkeypatch.setattr(srgan, "TILE", 32)
    for p in t.average.module.parameters():
        p.assign(p.detach() + mg.tensor(RNG.normal(0, 0.1, p.shape)))
    x = RNG.uniform(-1, 1, (1, 1, height, width))
    large = t.upscale(x)
    whole = t.average.module(mg.tensor(x)).detach().numpy().clip(-1, 1)
    assert large.shape == (1, 1, 2 * height, 2 * width)
    np.testing.assert_allclose(large, whole, atol=1e-5)


def test_reach_is_how_far_a_pixel_depends():
    """A change of one small pixel is seen in every output pixel at most `reach` small pixels away, and in none
    beyond."""
    for scale, blocks in ((2, 0), (4, 1)):
        network = Upscaler(1, scale, 2, blocks).double()
        for p in network.parameters():
            p.assign(mg.tensor(RNG.uniform(0.1, 1, p.shape)))
        side = 2 * network.reach + 5
        x = np.zeros((1, 1, side, side))
        y = x.copy()
        y[0, 0, side // 2, side // 2] = 1
        change = np.abs(network(mg.tensor(y)).detach().numpy() - network(mg.tensor(x)).detach().numpy())[0, 0]
        rows = np.flatnonzero(change.max(1) > 1e-12) // scale
        assert np.abs(rows - side // 2).max() <= network.reach and np.abs(rows - side // 2).max() >= network.reach - 1


def test_colours_grey_and_transparency():
    """A network of grey images takes each colour by itself; transparency is enlarged beside them."""
    t = small(objective="mse")
    colours = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    alpha = np.full((5, 6), 77, np.uint8)
    large = enlarged_picture(t, Picture(colours, alpha))
    assert large.colours.shape == (10, 12, 3) and np.array_equal(large.alpha, np.full((10, 12), 77))
    grey = enlarged_picture(t, Picture(colours[:, :, 1:2]))
    assert grey.alpha is None and np.array_equal(grey.colours[..., 0], large.colours[..., 1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_kind_are_read(mode, tmp_path):
    rng = np.random.default_rng(0)
    alpha = mode in ("LA", "PA", "RGBA")
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    source = Image.fromarray(rng.integers(0, 256, (6, 9, 4), np.uint8))
    if mode == "I;16":
        Image.fromarray(rng.integers(0, 65536, (6, 9), np.uint16)).save(path)
    elif mode == "PA":
        source.convert("RGB").quantize(4).save(path, transparency=1)
    else:
        (source if mode == "RGBA" else (source if mode == "LA" else source.convert("RGB")).convert(mode)).save(path)
    picture = read_picture(path)
    channels = 1 if mode in ("1", "L", "LA", "I;16") else 3
    assert picture.colours.shape == (6, 9, channels) and picture.colours.dtype == np.uint8
    assert (picture.alpha is not None) == alpha
    if alpha:
        assert picture.alpha.shape == (6, 9)
    copy = tmp_path / "y.png"
    copy.write_bytes(picture.encoded("PNG"))
    again = read_picture(copy)
    assert np.array_equal(again.colours, picture.colours)
    assert (again.alpha is None) == (picture.alpha is None)
    with Image.open(tmp_path / "x.png" if path.suffix == ".png" else path) as image:
        assert image.size == (9, 6)


def test_the_camera_s_turn_is_applied(tmp_path):
    image, turn = Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8)), Image.Exif()
    turn[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "x.png", exif=turn)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png").colours, np.rot90(np.asarray(image), -1))


def test_upscale_as_typed(tmp_path, monkeypatch):
    """A picture of any shape in, `scale` times as large out; what is no image, and what is no such run, in one line."""
    monkeypatch.chdir(tmp_path)
    run = Run.create(options_for("srgan", steps=0, base=2, blocks=0, batch_size=2, objective="mse"), "run")
    run._snapshot()
    Image.fromarray(RNG.integers(0, 256, (7, 11, 4), np.uint8)).save("in.png")
    result = CliRunner().invoke(main, ["upscale", "run", "in.png", "-o", "out.png"])
    assert result.exit_code == 0, result.output
    with Image.open("out.png") as image:
        assert image.size == (44, 28) and image.mode == "RGBA"
    (tmp_path / "text.png").write_text("no image")
    for words, told in (
        (["upscale", "run", "text.png"], "text.png: not an image that is read"),
        (["upscale", "run", "gone.png"], "gone.png: no such file"),
        (["upscale", "run", "."], ".: a folder"),
        (["sample", "run"], "use minigan upscale RUN IMAGE"),
        (["interpolate", "run"], "translates images and has no latents; see: minigan upscale"),
        (["traverse", "run"], "has no latents; see: minigan upscale"),
        (["film", "run"], "is a run of srgan; film takes runs of nextframe"),
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2 and told in " ".join(result.output.split()), (words, result.output)
        assert "Traceback" not in result.output


def test_pairs_are_block_means_and_observe_sets_them_beside_null_models(monkeypatch):
    """The perfect network beats what has learnt nothing, bicubic passed off as one does not, and both are told on the
    test half."""
    t = trainer("srgan", WORLD, scale=4, size=16, objective="mse", blocks=0)
    small_images, true = t.pairs(t.dataset.held_out)
    np.testing.assert_allclose(small_images, true.reshape(6, 1, 4, 4, 4, 4).mean((3, 5)), atol=1e-6)
    monkeypatch.setattr(t, "upscale", lambda _: true + 0.01)
    t.split = "all"
    seen = t.observe(6, Generator(0, 1), details=False)
    assert seen.figures["winners"] == [] and seen.figures["psnr"] > 30
    judged(monkeypatch)
    monkeypatch.setattr(srgan, "realistic", lambda sets, *_: dict.fromkeys((*sets, "held_out"), 0.5))
    monkeypatch.setattr(srgan.classifier, "classes", lambda _, x: np.digitize(x.mean((1, 2, 3)), [-0.4, 0.25]))
    seen = t.observe(6, Generator(0, 1), details=True)
    assert seen.figures["real"] == {"precision": 0.5, "agreement": 1.0} and seen.figures["agreement"] == 1.0
    assert seen.lines[-1] == "better than every null model" and srgan.SHOWN.format(**seen.figures)
    monkeypatch.setattr(t, "upscale", lambda x: srgan.enlarged(x, 4, "bicubic"))
    seen = t.observe(6, Generator(0, 1), details=False)
    assert "bicubic" in seen.figures["winners"]
    assert seen.figures["psnr"] == pytest.approx(seen.figures["null_models"]["bicubic"]["psnr"])


@pytest.mark.parametrize("lost", ["psnr", "ssim", "spectral"])
def test_who_is_as_good_by_one_figure_wins(lost, monkeypatch):
    """Higher is better of two, lower of the spectrum; the other two are the network's."""
    t = trainer("srgan", WORLD, scale=4, size=16, objective="mse", blocks=0)
    ours, theirs = {"psnr": 9.0, "ssim": 0.9, "spectral": 1.0}, {"psnr": 8.0, "ssim": 0.8, "spectral": 2.0}
    answers = iter([ours, theirs | {lost: ours[lost]}, theirs, theirs | {lost: ours[lost] * 1.01}])
    monkeypatch.setattr(srgan, "KERNELS", ("one", "two", "three"))
    monkeypatch.setattr(srgan, "enlarged", lambda small, scale, kind: small)
    monkeypatch.setattr(srgan, "figures", lambda images, true: dict(next(answers)))
    monkeypatch.setattr(srgan, "_line", lambda row: "")
    t.split = "all"
    expected = ["one"] if lost == "spectral" else ["one", "three"]
    assert t.observe(6, Generator(0, 1)).figures["winners"] == expected


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": "msee"}, "unknown objective 'msee'; did you mean 'mse'"),
        ({"scale": 3}, "srgan: the scale must be a power of two from 2 on, got 3"),
        ({"scale": 32}, "images of size 32 are 1 pixels wide at scale 32"),
        ({"objective": "mse", "content": 1.0}, "option 'content' means nothing here"),
        ({"adversarial": 0.0, "n_critic": 2}, "option 'n_critic' means nothing here: there is no critic"),
        ({"objective": "mse", "n_generator": 2}, "option 'n_generator' means nothing here: there is no critic"),
    ],
)
def test_wrong_options_are_named(changes, told):
    with pytest.raises(ValueError, match=told):
        options_for("srgan", **changes)


def test_where_nothing_is_lost_nothing_comes_back():
    """Images of 8 pixels at size 16 are blocks of two: halved, they are themselves."""
    with pytest.raises(ValueError, match="no larger than 8 pixels, so that at size 16 and scale 2 nothing is lost"):
        trainer("srgan", WORLD, size=16, scale=2, objective="mse")


def test_without_a_judge_the_way_out_is_told(monkeypatch):
    def gone(name):
        raise ValueError(f"no classifier is shipped for data set {name!r}; train one with: minigan classifier {name}")

    monkeypatch.setattr(srgan.classifier, "load", gone)
    with pytest.raises(ValueError, match="minigan classifier digits; --content 0 leaves the content loss out"):
        small()
