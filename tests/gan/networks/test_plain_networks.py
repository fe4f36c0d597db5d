"""Residual networks, perceptrons and the autoencoder critic: shapes, PyTorch, second order, limits of their terms."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.mlp import PerceptronCritic, PerceptronGenerator, perceptron_init_
from minigan.gan.networks.resnet import DownBlock, ResidualCritic, ResidualGenerator, UpBlock, residual_init_
from minigan.gan.penalties import gradient_penalty
from minigan.gan.systems.ebgan import AutoencoderCritic, autoencoder_init_, pulling_away
from minigan.testing.gradcheck import gradcheck

RNG = np.random.default_rng(5)
GENERATORS = {"resnet": (ResidualGenerator, residual_init_), "mlp": (PerceptronGenerator, perceptron_init_)}
CRITICS = {
    "resnet": (ResidualCritic, residual_init_),
    "mlp": (PerceptronCritic, perceptron_init_),
    "ebgan": (AutoencoderCritic, autoencoder_init_),
}


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators_make_images(name, channels, size):
    """Any batch of latents gives images of the asked shape within (-1, 1), and other latents other images."""
    make, init_ = GENERATORS[name]
    generator = init_(make(5, channels, size, 2), Generator(0, 1))
    images = generator(mg.tensor(RNG.standard_normal((3, 5)).astype(np.float32))).data
    assert images.shape == (3, channels, size, size) and np.abs(images).max() <= 1
    assert np.abs(images[0] - images[1]).max() > 1e-3 and images.std() > 0.01
    with pytest.raises(ValueError, match=r"z must be \(N, 5\), got \(3, 4\)"):
        generator(mg.zeros(3, 4))


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CRITICS)
def test_critics_judge_each_image_alone(name, channels, size):
    """One number an image, the same whatever its batch-mates are."""
    make, init_ = CRITICS[name]
    critic = init_(make(channels, size, 2), Generator(0, 1))
    x = RNG.uniform(-1, 1, (4, channels, size, size)).astype(np.float32)
    judged = critic(mg.tensor(x)).data
    assert judged.shape == (4,) and judged.std() > 0
    alone = np.concatenate([critic(mg.tensor(x[i : i + 1])).data for i in range(4)])
    np.testing.assert_allclose(judged, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [ResidualGenerator, ResidualCritic, AutoencoderCritic])
@pytest.mark.parametrize("size", [0, 4, 12, 31, 48])
def test_a_size_that_does_not_halve_is_refused(make, size):
    with pytest.raises(ValueError, match=f"{make.__name__}: the image size must be a power of two, at least 8, got"):
        make(size=size)


def test_up_block_is_the_papers(torch):
    """conv1(up(x)) + conv3(relu(norm(conv3(up(relu(norm(x))))))), written in PyTorch, in float64."""
    F = torch.nn.functional
    block = residual_init_(UpBlock(3, 4), Generator(0, 1)).double()
    p = {k: torch.tensor(np.asarray(v)) for k, v in block.state_dict().items()}
    x = RNG.standard_normal((2, 3, 4, 4))
    t = torch.tensor(x)

    def norm(x, name):
        return F.batch_norm(x, None, None, p[f"{name}.weight"], p[f"{name}.bias"], True)

    up = torch.nn.Upsample(scale_factor=2)
    h = F.conv2d(up(F.relu(norm(t, "norm1"))), p["conv1.weight"], p["conv1.bias"], padding=1)
    h = F.conv2d(F.relu(norm(h, "norm2")), p["conv2.weight"], p["conv2.bias"], padding=1)
    expected = F.conv2d(up(t), p["shortcut.weight"], p["shortcut.bias"]) + h
    np.testing.assert_allclose(block(mg.tensor(x)).data, expected.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("first", [False, True])
def test_down_block_is_the_papers(first, torch):
    """pool(conv1(x)) + pool(conv3(relu(conv3(relu(x))))), written in PyTorch; the first has no rectifier before it."""
    F = torch.nn.functional
    block = residual_init_(DownBlock(3, 4, first=first), Generator(0, 1)).double()
    p = {k: torch.tensor(np.asarray(v)) for k, v in block.state_dict().items()}
    x = RNG.standard_normal((2, 3, 6, 6))
    t = torch.tensor(x)
    h = F.conv2d(t if first else F.relu(t), p["conv1.weight"], p["conv1.bias"], padding=1)
    h = F.conv2d(F.relu(h), p["conv2.weight"], p["conv2.bias"], padding=1)
    expected = F.avg_pool2d(F.conv2d(t, p["shortcut.weight"], p["shortcut.bias"]) + h, 2)
    np.testing.assert_allclose(block(mg.tensor(x)).data, expected.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CRITICS)
def test_gradient_of_the_penalty_by_the_weights(name):
    """The gradient penalty of every critic, differentiated by its weights: second order against finite differences."""
    make, init_ = CRITICS[name]
    size, base = {"mlp": (4, 1), "ebgan": (8, 1), "resnet": (8, 2)}[name]
    critic = init_(make(1, size, base), Generator(3, 1)).double()
    names, weights = zip(*critic.named_parameters(), strict=True)
    weights = [mg.tensor(w.data + 0.1 * RNG.standard_normal(w.shape), requires_grad=True) for w in weights]
    real, fake = (mg.tensor(RNG.uniform(-1, 1, (2, 1, size, size))) for _ in range(2))
    eps = mg.tensor(RNG.random((2, 1, 1, 1)))

    def penalty(*values):
        own = dict(zip(names, values, strict=True))
        return gradient_penalty(lambda x: mg.nn.functional_call(critic, own, x), real, fake, eps)[0]

    gradcheck(penalty, weights)


def test_maxout_layer_is_the_largest_of_five():
    critic = perceptron_init_(PerceptronCritic(1, 8, 1), Generator(0, 1)).double()
    x = RNG.uniform(-1, 1, (3, 1, 8, 8))
    h = x.reshape(3, -1)
    for layer in critic.hidden:
        w, b = (t.data for t in layer[0].parameters())
        h = (h @ w.T + b).reshape(3, -1, 5).max(2)
    w, b = (t.data for t in critic.last.parameters())
    np.testing.assert_allclose(critic(mg.tensor(x)).data, (h @ w.T + b)[:, 0], rtol=1e-12)


def test_dropout_of_the_perceptron_is_training_s_alone():
    """In training two passes differ, drawn from the given stream; in evaluation they do not."""
    random = Generator(0, 9)
    critic = perceptron_init_(PerceptronCritic(1, 8, 4, rate=0.5, random=random), Generator(0, 1))
    x = mg.tensor(RNG.uniform(-1, 1, (3, 1, 8, 8)).astype(np.float32))
    before = random.state_dict()
    first, second = critic(x).data, critic(x).data
    assert not np.array_equal(first, second)
    random.load_state_dict(before)
    assert np.array_equal(critic(x).data, first)
    critic.eval()
    assert np.array_equal(critic(x).data, critic(x).data)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        PerceptronCritic(rate=1.0)
    with pytest.raises(ValueError, match="no batch norm"):
        PerceptronCritic(norm=True)


def test_energy_is_the_mean_squared_error_of_the_reconstruction():
    critic = autoencoder_init_(AutoencoderCritic(3, 16, 4, code=7), Generator(0, 1))
    x = mg.tensor(RNG.uniform(-1, 1, (3, 3, 16, 16)).astype(np.float32))
    energy, code = critic.judge(x)
    assert code.shape == (3, 7) and np.array_equal(code.data, critic.encode(x).data)
    expected = np.square(critic.reconstruct(x).data - x.data).mean((1, 2, 3))
    np.testing.assert_allclose(energy.data, expected, rtol=1e-5)
    assert np.array_equal(energy.data, critic(x).data)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (np.eye(4), 0.0),
        (np.ones((5, 3)), 1.0),
        (np.array([[1.0, 0], [2.0, 0], [0, 3.0]]), 1 / 3),  # one pair of three is parallel
        (np.array([[1.0, 0], [-4.0, 0]]), 1.0),
    ],
)
def test_pulling_away_of_simple_codes(codes, expected):
    assert pulling_away(mg.tensor(codes)).item() == pytest.approx(expected, abs=1e-12)


def test_pulling_away_is_the_papers_sum():
    codes = RNG.standard_normal((6, 4))
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    expected = sum(cosine(codes[i], codes[j]) ** 2 for i in range(6) for j in range(6) if i != j) / 30
    assert pulling_away(mg.tensor(codes)).item() == pytest.approx(expected, rel=1e-12)
    gradcheck(pulling_away, [mg.tensor(codes, requires_grad=True)])
    with pytest.raises(ValueError, match="at least 2 samples"):
        pulling_away(mg.tensor(codes[:1]))
