"""Augmentation row by row against NumPy and SciPy: moves, light, holes, noise, mixing, and what the draws depend on.

Draws are numbers of a row's stream (see the engine's augmenting.py), here from SplitMix64 once more, so every expected
row is worked out and not only its spread. Keys are fixed: nothing can fail by chance.
"""

import numpy as np
import pytest
import reference
from engine.cases import COMPILED, KEYS, Part, make_network, make_part
from engine.stages import FLOAT, bits, make_image_network, settings_of, stage
from scipy import ndimage, stats

from hpsearch.engine.hyperparameters import AUGMENTATIONS, IMAGE_AUGMENTATIONS
from hpsearch.engine.network import Training
from hpsearch.errors import ConfigError

ANGLE, ZOOM, SHIFT_Y, SHIFT_X, FLIP_H, FLIP_V, LIGHT, INVERT, CUT_Y, CUT_X = range(10)
NOISE_STREAM, MIX_STREAM = 100, 101
KEY = 20260101
MANY = 1_000_001 if COMPILED else 50_001
SHAPES = ((5, 7, 1), (8, 8, 1), (6, 5, 3), (1, 9, 1), (9, 1, 2))


def image(shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def augmented(picture, key=KEY, **settings):
    """A changed copy of an image (height, width, channels), or of a row (features,)."""
    height, width, channels = picture.shape if picture.ndim == 3 else (0, 0, 0)
    s = settings_of(features=picture.size, height=height, width=width, channels=channels, **settings)
    source = np.array(picture, FLOAT).reshape(-1)
    target = np.full_like(source, np.nan)
    before = source.copy()
    stage("augment_row")(s, source, target, np.uint64(key))
    assert np.array_equal(source, before)
    return target.reshape(picture.shape)


def draw(number, key=KEY):
    return reference.uniform(key, number)


def spread(size, number, key=KEY):
    """~ U(-size, size) from that draw."""
    return size * (2 * draw(number, key) - 1)


# --- Moves ---


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_asked_nothing_changed(shape):
    assert np.array_equal(augmented(image(shape)), image(shape))


@pytest.mark.parametrize("pixels", [-3, -1, 1, 2])
@pytest.mark.parametrize("axis", ["down", "across"])
def test_a_shift_by_whole_pixels_is_a_roll_with_its_edge_repeated(axis, pixels):
    """Of one column, or row: the bound is chosen so that the draw is a whole number of pixels, to 1e-5 of one."""
    shape, number = ((9, 1, 2), SHIFT_Y) if axis == "down" else ((1, 9, 2), SHIFT_X)
    key = next(key for key in range(100) if np.sign(2 * draw(number, key) - 1) == np.sign(pixels))
    found = augmented(image(shape), key, shift=pixels / (2 * draw(number, key) - 1))
    lines = image(shape).reshape(9, 2)
    rolled = np.roll(lines, pixels, axis=0)
    rolled[:pixels] = lines[0] if pixels > 0 else rolled[:pixels]
    rolled[pixels:] = lines[-1] if pixels < 0 else rolled[pixels:]
    np.testing.assert_allclose(found.reshape(9, 2), rolled, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shift", [0.4, 2.0, 30.0])
def test_a_shift_by_parts_of_pixels_blends_them(shape, shift):
    """As SciPy's linear interpolation, edges repeated; 2e-5 for shares of pixels in float32."""
    for key in range(5):
        distance = (spread(shift, SHIFT_Y, key), spread(shift, SHIFT_X, key), 0)
        expected = ndimage.shift(image(shape).astype(np.float64), distance, order=1, mode="nearest")
        np.testing.assert_allclose(augmented(image(shape), key, shift=shift), expected, atol=2e-5)


def affine(picture, key, **settings):
    """What all moves together should make: zoom and turn, then the flips, then the shift, in one map."""
    height, width, _ = picture.shape
    angle = np.radians(spread(settings.get("rotate", 0), ANGLE, key))
    zoom = 1 + spread(settings.get("scale", 0), ZOOM, key)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    mirrors = [-1 if draw(number, key) < settings.get(name, 0) else 1 for number, name in FLIPS]
    shift = [spread(settings.get("shift", 0), number, key) for number in (SHIFT_Y, SHIFT_X)]
    matrix = np.diag(mirrors) @ turn
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = middle - matrix @ (middle + shift)
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=1, mode="nearest")
        for plane in np.moveaxis(picture.astype(np.float64), 2, 0)
    ]
    return np.stack(planes, axis=2)


FLIPS = ((FLIP_V, "flip_v"), (FLIP_H, "flip_h"))  # up and down changes y


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        {"rotate": 10.0},
        {"rotate": 180.0},
        {"scale": 0.5},
        {"rotate": 30.0, "scale": 0.3, "shift": 2.0, "flip_h": 0.5, "flip_v": 0.5},
    ],
    ids=str,
)
def test_moves_are_one_affine_map(shape, settings):
    for key in range(8):
        found = augmented(image(shape), key, **settings)
        np.testing.assert_allclose(found, affine(image(shape), key, **settings), atol=1e-4)


def test_a_quarter_turn_of_a_square_is_known():
    """A bound of 90 / (2 u - 1) degrees makes the draw 90: one corner goes to the next, and two turns are a half."""
    key = next(key for key in range(100) if draw(ANGLE, key) > 0.9)
    rotate = 90 / (2 * draw(ANGLE, key) - 1)
    square = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    found = augmented(square, key, rotate=rotate)
    once = (np.rot90(square, 1), np.rot90(square, -1))
    assert sum(np.allclose(found, turned, atol=1e-4) for turned in once) == 1
    twice = augmented(found.astype(np.float32), key, rotate=rotate)
    np.testing.assert_allclose(twice, np.rot90(square, 2), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "axis"), [("flip_h", 1), ("flip_v", 0)])
def test_a_flip_that_is_sure_mirrors_to_the_bit(shape, name, axis):
    picture = image(shape).astype(FLOAT)
    assert np.array_equal(augmented(picture, **{name: 1.0}), np.flip(picture, axis))


@pytest.mark.parametrize(
    ("name", "number"), [("flip_h", FLIP_H), ("flip_v", FLIP_V), ("invert", INVERT)], ids=lambda value: value
)
def test_chances_are_kept(name, number):
    """Of 4,000 keys those are changed that the draws say: the share asked for within 4 standard errors."""
    picture = image((3, 4, 1))
    settings = {"darkest": -3.0, "brightest": 3.0, name: 0.3}
    # more than the rounding that any change of light brings
    changed = np.array([np.abs(augmented(picture, key, **settings) - picture).max() > 0.01 for key in range(4000)])
    draws = np.array([draw(number, key) for key in range(4000)])
    assert np.array_equal(changed, draws < 0.3)
    assert changed.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 4000))


@pytest.mark.parametrize(
    ("settings", "number"),
    [({"shift": 2.0}, SHIFT_Y), ({"shift": 2.0}, SHIFT_X), ({"rotate": 25.0}, ANGLE), ({"scale": 0.4}, ZOOM)],
    ids=str,
)
def test_the_middle_of_a_ramp_tells_the_size_of_a_move(settings, number):
    """A ramp moved by d is off by d in its middle: 1,000 sizes are evenly spread over both sides, and are the draws."""
    side = 21
    y, x = np.mgrid[:side, :side] - side // 2
    ramp = (y if number == SHIFT_Y else x).astype(np.float32)[:, :, None]
    middle = side // 2
    sizes = []
    for key in range(1000):
        found = augmented(ramp, key, **settings)[:, :, 0]
        if number in {SHIFT_Y, SHIFT_X}:
            sizes.append(-found[middle, middle] / 2.0)
        elif number == ANGLE:
            down = found[middle + 1, middle] - found[middle, middle]  # sin of the angle
            sizes.append(np.degrees(np.arcsin(down)) / 25.0)
        else:
            sizes.append((1 / (found[middle, middle + 1] - found[middle, middle]) - 1) / 0.4)
    expected = [2 * draw(number, key) - 1 for key in range(1000)]
    np.testing.assert_allclose(sizes, expected, atol=1e-4)
    assert stats.kstest(sizes, "uniform", args=(-1, 2)).pvalue > 0.01


# --- Light ---


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_brightness_is_a_factor_on_what_is_above_the_darkest(shape):
    dark = -4.5
    for key in range(20):
        factor = 1 + spread(0.3, LIGHT, key)
        found = augmented(image(shape), key, brightness=0.3, darkest=dark, brightest=4.0)
        np.testing.assert_allclose(found, dark + factor * (image(shape) - dark), rtol=1e-5, atol=1e-5)


def test_inverted_twice_is_as_before():
    picture = image((6, 5, 3))
    settings = {"invert": 1.0, "darkest": -2.0, "brightest": 5.0}
    once = augmented(picture, **settings)
    np.testing.assert_allclose(once, -2.0 + 5.0 - picture, atol=1e-6)
    np.testing.assert_allclose(augmented(once, **settings), picture, atol=1e-6)


def test_light_is_bounded_by_the_training_part():
    """The darkest and brightest of all its inputs, not of a row or a batch."""
    network = make_image_network((2, 3), augment="invert", **{"augment.invert": 1.0})
    rows = make_part("classification", 30, features=6)
    training = Training(network, rows, rows)
    assert training.settings["darkest"][0] == rows.inputs.min()
    assert training.settings["brightest"][0] == rows.inputs.max()
    assert network.settings["darkest"][0] == 0  # the network may serve other rows


# --- Holes ---


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 50])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_hole_is_filled_with_the_mean(shape, side):
    """A square around a pixel that the draws name, clipped at the edges; the rest is left to the bit."""
    height, width, _ = shape
    picture = image(shape).astype(FLOAT)
    for key in range(10):
        top, left = int(height * draw(CUT_Y, key)) - side // 2, int(width * draw(CUT_X, key)) - side // 2
        expected = picture.copy()
        hole = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
        expected[hole] = picture.astype(np.float64).mean()
        found = augmented(picture, key, cutout=side)
        outside = np.ones(shape, bool)
        outside[hole] = False
        assert np.array_equal(found[outside], picture[outside])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        assert not outside.all()


def test_holes_lie_anywhere():
    """Every pixel is the middle of a hole as often, by chi-square over 4,000 keys."""
    picture = image((4, 5, 1))
    counts = sum(augmented(picture, key, cutout=1) != picture for key in range(4000))
    assert stats.chisquare(counts.ravel()).pvalue > 0.01


# --- Noise ---


def box_muller(key, count):
    """Pairs from the upper and lower 24 bits of each word's upper 56: cosines, behind them sines.

    The last of an odd number is the first normal draw of a stream that the next word starts.
    """
    pairs = count // 2
    words = bits(key, pairs)
    u = ((words >> np.uint64(40)).astype(np.float64) + 0.5) / 2**24
    v = ((words >> np.uint64(8)) & np.uint64(2**24 - 1)).astype(np.float64) / 2**24
    radius = np.sqrt(-2 * np.log(u))
    odd = [reference.normal(reference.splitmix64(key, pairs), 0)] * (count % 2)
    return np.concatenate([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v), odd])


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 1001, MANY])
def test_noise_is_what_the_formula_makes_of_the_bits(count):
    """Logarithm, cosine and sine of the engine against NumPy's: 2e-6 of a radius that is at most 6 deviations.

    Near u = 1 the logarithm is a rounding, so is u: off by 2^-24 there, which the square root makes 5e-4.
    """
    noise = augmented(np.zeros(count, np.float32), noise=1.0)
    expected = box_muller(reference.splitmix64(KEY, NOISE_STREAM), count)
    sure = np.abs(expected) > 0.05
    np.testing.assert_allclose(noise[sure], expected[sure], atol=2e-5)
    np.testing.assert_allclose(noise, expected, atol=1e-3)


def test_noise_is_normal():
    noise = augmented(np.zeros(MANY, np.float32), noise=0.3).astype(np.float64) / 0.3
    n = noise.size
    assert abs(noise.mean()) < 4 / np.sqrt(n)
    assert noise.std() == pytest.approx(1, abs=4 / np.sqrt(2 * n))
    assert abs(stats.skew(noise)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(noise)) < 4 * np.sqrt(24 / n)
    assert stats.kstest(noise, "norm").pvalue > 0.01
    for lag in (1, 2, n // 2, n // 2 + 1):  # the halves hold the two of each pair
        assert abs(np.corrcoef(noise[:-lag], noise[lag:])[0, 1]) < 4 / np.sqrt(n - lag)
        assert abs(np.corrcoef(noise[:-lag] ** 2, noise[lag:] ** 2)[0, 1]) < 4 / np.sqrt(n - lag)
    assert np.isfinite(noise).all()


def test_noise_is_added():
    """To what the row is, in proportion to its deviation."""
    row = image((1, 40, 1)).reshape(-1)
    one, two = (augmented(row, noise=sd) - row for sd in (0.5, 1.0))
    np.testing.assert_allclose(2 * one, two, atol=1e-5)


# --- Mixing ---


def mixed(batch, order, alpha, epoch_key=KEY):
    """The batch after mixing, and the rows' shares."""
    rows, features = batch.shape
    flat = np.array(batch, FLOAT).reshape(-1)
    portions, following = np.full(rows, np.nan, FLOAT), flat[:features].copy()
    s = settings_of(features=features, mixup=alpha)
    stage("mix_rows")(s, flat, rows, np.array(order, np.int32), np.uint64(epoch_key), portions, following)
    return flat.reshape(rows, features), portions


@pytest.mark.parametrize("rows", [1, 2, 3, 40])
def test_each_row_is_blended_with_the_next_and_the_last_with_the_first(rows):
    batch = image((rows, 7, 1)).reshape(rows, 7)
    found, portions = mixed(batch, range(rows), 1.0)
    share = portions.astype(np.float64)[:, None]
    np.testing.assert_allclose(found, share * batch + (1 - share) * np.roll(batch, -1, axis=0), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 1.0, 2.0])
def test_shares_are_the_larger_parts_of_a_beta_distribution(alpha):
    """Its share of a row and the rest are alike, so the larger part is the beta's folded at a half."""
    _, portions = mixed(np.zeros((4000, 1)), range(4000), alpha)
    assert portions.min() >= 0.5
    assert portions.max() <= 1.0
    beta = stats.beta(alpha, alpha)
    # where nearly all mass is beyond float32's last number below 1, what is rounded to 1 is counted there
    below = portions[portions < 1]
    sure = 1 - beta.cdf(1 - 2**-24) + beta.cdf(2**-24)
    assert np.mean(portions == 1) == pytest.approx(sure, abs=4 * np.sqrt(sure * (1 - sure) / 4000) + 1e-3)
    folded = stats.kstest(below, lambda x: np.clip((beta.cdf(x) - beta.cdf(1 - x)) / (1 - sure), 0, 1))
    assert folded.pvalue > 0.01


def test_a_share_depends_on_the_row_and_the_epoch_alone():
    """Not on the place in the batch, its size, or what else is in it."""
    _, portions = mixed(np.zeros((50, 3)), range(50), 0.4)
    random = np.random.default_rng(0)
    for size in (1, 2, 17, 50):
        order = random.permutation(50)[:size]
        assert np.array_equal(mixed(image((size, 3, 1)).reshape(size, 3), order, 0.4)[1], portions[order])
    assert not np.any(mixed(np.zeros((50, 3)), range(50), 0.4, KEY + 1)[1] == portions)


# --- What all draws depend on ---

EVERYTHING = {
    "shift": 1.0, "rotate": 10.0, "scale": 0.1, "cutout": 3.0, "flip_h": 0.5, "flip_v": 0.5, "invert": 0.5,
    "brightness": 0.2, "noise": 0.1, "darkest": -3.0, "brightest": 3.0,
}  # fmt: skip


def test_a_changed_row_depends_on_its_key_alone():
    """And all of it is fresh for another key."""
    picture = image((6, 6, 1))
    found = [augmented(picture, key, **EVERYTHING) for key in range(20)]
    for key in reversed(range(20)):
        assert np.array_equal(augmented(picture, key, **EVERYTHING), found[key])
    assert len({one.tobytes() for one in found}) == 20


def test_one_change_does_not_move_the_draws_of_another():
    """Flips and holes are where they were when noise is added: every change has draws of its own."""
    picture = image((6, 6, 1))
    for key in range(20):
        without = augmented(picture, key, flip_h=0.5, cutout=3, shift=1.0)
        alone = augmented(np.zeros((6, 6, 1), np.float32), key, noise=0.2)
        both = augmented(picture, key, flip_h=0.5, cutout=3, shift=1.0, noise=0.2)
        np.testing.assert_allclose(both, without + alone, atol=1e-6)


def seen(network, rows, *, epochs):
    """What a network without layers is shown in each epoch, batch after batch: a batch of one row leaves its mark.

    With the weights 0, targets 1 and no dropout, the gradient of W is minus the row; the learning rate makes it W.
    """
    train = Part(rows, targets=np.ones((len(rows), 1), np.float32))
    training = Training(network, train, train)
    shown = []
    for _ in range(epochs * len(rows)):
        training.weights[:] = 0
        training.advance_by(1)
        shown.append(training.weights[:-1].copy())
    return np.array(shown).reshape(epochs, len(rows), -1)


def regressor(features, **hyperparameters):
    settings = {"hidden": [], "optimizer": "sgd", "learning_rate": 1.0, "batch_size": 1, "epochs": 3}
    return make_network("regression", features=features, **settings | hyperparameters)


def test_every_row_is_changed_anew_in_every_epoch():
    """Noise of rows of zeros: no two of 20 rows in 3 epochs are alike, and each has the deviation asked for."""
    network = regressor(50, augment="noise", keys=(*KEYS, 33, 44), **{"augment.noise": 0.5})
    shown = seen(network, np.zeros((20, 50), np.float32), epochs=3).reshape(60, 50)
    assert np.abs(np.corrcoef(shown) - np.eye(60)).max() < 0.7  # of 1,770 pairs of 50 numbers
    assert shown.std() == pytest.approx(0.5, rel=4 / np.sqrt(2 * shown.size))


def test_a_row_s_change_does_not_depend_on_where_the_shuffle_puts_it():
    """Another shuffle key shows the same changed rows in another order."""
    rows = image((12, 8, 1)).reshape(12, 8)
    shown = [
        seen(regressor(8, augment="noise", keys=(1, key, 33, 44)), rows, epochs=2) for key in (5, 6)
    ]  # fmt: skip
    assert not np.array_equal(*shown)
    for epoch in range(2):
        one, other = (np.sort(order[epoch], axis=0) for order in shown)
        assert np.array_equal(one, other)


def test_dev_rows_are_never_changed():
    """The value of the curve is that of an evaluation of the rows as they are."""
    network = make_image_network((2, 3), augment="+".join(AUGMENTATIONS), keys=(1, 2, 3, 4))
    train, dev = make_part("classification", 40, features=6), make_part("classification", 30, features=6, seed=1)
    training = Training(network, train, dev)
    training.advance_by(10**9)
    assert network.evaluate(training.weights, dev)[1]["log_loss"] == training.curve_rows()[-1, 3]


def test_labels_mix_as_their_rows():
    """Two rows of two classes whose inputs name them, so what a row is mixed of shows in what it is taught.

    At weights 0 both classes have a half, and dz = a - y' with y' the mixture: b goes by dz, W by the input times dz.
    """
    keys = (1, 2, 3, 4)
    network = make_network(
        "classification", features=2, classes=2, hidden=[], optimizer="sgd", learning_rate=1.0, batch_size=2, epochs=1,
        augment="mixup", keys=keys, **{"augment.mixup": 1.0},
    )  # fmt: skip
    rows = Part(np.eye(2, dtype=np.float32), np.array([0, 1], np.int32))
    training = Training(network, rows, rows)
    training.weights[:] = 0
    training.advance_by(1)
    epoch_key = reference.splitmix64(keys[3], 0)
    order = reference.epoch_order(2, keys[1], 0)
    _, portions = mixed(np.eye(2)[order], order, 1.0, epoch_key)
    share = np.zeros(2)
    share[order] = portions  # of row 0 and of row 1
    X = np.array([[share[0], 1 - share[0]], [1 - share[1], share[1]]])
    signal = 0.5 - X  # y' is the mixture of the labels, as X is that of the inputs
    np.testing.assert_allclose(training.weights[:4].reshape(2, 2), -X.T @ signal / 2, atol=1e-6)
    np.testing.assert_allclose(training.weights[4:], -signal.sum(axis=0) / 2, atol=1e-6)
    assert training.curve_rows()[0, 0] == pytest.approx(np.log(2))  # of the own labels


# --- What cannot be ---


@pytest.mark.parametrize("name", IMAGE_AUGMENTATIONS)
def test_changes_of_images_need_their_shape(name):
    rows = make_part("classification", 10)
    with pytest.raises(ConfigError, match=r"data\.image_shape"):
        Training(make_network("classification", augment=name), rows, rows)
