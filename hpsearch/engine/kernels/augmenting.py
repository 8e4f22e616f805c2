"""Training rows changed a little, anew in every epoch.

For images moves and changes of light, for any row noise and mixing. What happens to a row depends on the stream's key,
the epoch and the row's number, on nothing else.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int64, uint64, void

from hpsearch.engine.kernels.compiling import LABELS, NUMBERS, SUMS, after, copy, helper, stage
from hpsearch.engine.kernels.elementary import cosine_and_sine, logarithm
from hpsearch.engine.kernels.random_numbers import random_bits, random_normal, random_uniform
from hpsearch.engine.places import settings as S

# Draws of a row's stream, by number; its noise and the share of a mixed pair have streams of their own.
ANGLE, ZOOM, SHIFT_Y, SHIFT_X, FLIP_H, FLIP_V, LIGHT, INVERT, CUT_Y, CUT_X = range(10)
NOISE_STREAM, MIX_STREAM = np.uint64(100), np.uint64(101)


@helper
def between(low, high, key, draw):
    """~ U(low, high), draw number `draw` of the stream."""
    return low + (high - low) * random_uniform(key, np.uint64(draw))


@helper
def move_image(s, source, target, key):
    """Zoom, rotate, flip and shift in one map: each new pixel is looked up where it came from.

    Between pixels the four neighbours are blended by distance; outside, the nearest pixel of the edge counts.
    """
    height, width, channels = int(s[S.height]), int(s[S.width]), int(s[S.channels])
    angle = math.radians(between(-s[S.rotate], s[S.rotate], key, ANGLE))
    zoom = 1.0 / between(1.0 - s[S.scale], 1.0 + s[S.scale], key, ZOOM)
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    mirror_x = -1.0 if random_uniform(key, np.uint64(FLIP_H)) < s[S.flip_h] else 1.0
    mirror_y = -1.0 if random_uniform(key, np.uint64(FLIP_V)) < s[S.flip_v] else 1.0
    middle_y, middle_x = 0.5 * (height - 1), 0.5 * (width - 1)
    shift_y = between(-s[S.shift], s[S.shift], key, SHIFT_Y)
    shift_x = between(-s[S.shift], s[S.shift], key, SHIFT_X)
    for i in range(height):
        for j in range(width):
            y, x = i - middle_y - shift_y, j - middle_x - shift_x
            from_y = min(max(middle_y + mirror_y * (cosine * y - sine * x), 0.0), height - 1.0)
            from_x = min(max(middle_x + mirror_x * (sine * y + cosine * x), 0.0), width - 1.0)
            top, left = int(from_y), int(from_x)
            down, right = min(top + 1, height - 1), min(left + 1, width - 1)
            y_share, x_share = np.float32(from_y - top), np.float32(from_x - left)
            for c in range(channels):
                upper, lower = source[(top * width + left) * channels + c], source[(down * width + left) * channels + c]
                upper += x_share * (source[(top * width + right) * channels + c] - upper)
                lower += x_share * (source[(down * width + right) * channels + c] - lower)
                target[(i * width + j) * channels + c] = upper + y_share * (lower - upper)


@helper
def light_image(s, target, features, key):
    """Brightness by a factor on what is above the darkest value, and dark and light exchanged."""
    dark, light = np.float32(s[S.darkest]), np.float32(s[S.brightest])
    factor = np.float32(between(1.0 - s[S.brightness], 1.0 + s[S.brightness], key, LIGHT))
    for i in range(features):
        target[i] = dark + factor * (target[i] - dark)
    if random_uniform(key, np.uint64(INVERT)) < s[S.invert]:
        for i in range(features):
            target[i] = dark + light - target[i]


@helper
def cut_out(s, target, features, key):
    """Fill a square with the image's mean; its middle is any pixel, so part of it may lie outside (DeVries 2017)."""
    height, width, channels = int(s[S.height]), int(s[S.width]), int(s[S.channels])
    mean = 0.0
    for i in range(features):
        mean += target[i]
    mean /= features
    side = int(s[S.cutout] + 0.5)
    top = int(height * random_uniform(key, np.uint64(CUT_Y))) - side // 2
    left = int(width * random_uniform(key, np.uint64(CUT_X))) - side // 2
    for i in range(max(top, 0), min(top + side, height)):
        for j in range(max(left, 0), min(left + side, width)):
            for c in range(channels):
                target[(i * width + j) * channels + c] = mean


@helper
def add_noise(target, count, sd, key):
    """Add ~ N(0, sd^2) to each value: Box and Muller's pairs, each from the two halves of one random word."""
    size, unit, half = np.float32(sd), np.float32(2.0**-24), np.float32(0.5)
    low = np.uint64(2**24 - 1)
    pairs = count // 2
    second = after(target, pairs)
    for pair in range(pairs):
        bits = random_bits(key, np.uint64(pair))
        u = (np.float32(np.int64(bits >> np.uint64(40))) + half) * unit
        v = np.float32(np.int64((bits >> np.uint64(8)) & low)) * unit
        radius = size * math.sqrt(np.float32(-2) * logarithm(u))
        cosine, sine = cosine_and_sine(v)
        target[pair] += radius * cosine
        second[pair] += radius * sine
    if count % 2:
        target[count - 1] += size * np.float32(random_normal(random_bits(key, np.uint64(pairs)), np.uint64(0)))


@stage(void(SUMS, NUMBERS, NUMBERS, uint64))
def augment_row(s, source, target, key):
    """Write a changed copy of a row. `key` is that of the row in this epoch."""
    features = int(s[S.features])
    moved = s[S.rotate] > 0.0 or s[S.scale] > 0.0 or s[S.shift] > 0.0 or s[S.flip_h] > 0.0 or s[S.flip_v] > 0.0
    if moved:
        move_image(s, source, target, key)
    else:
        copy(source, target, features)
    if s[S.brightness] > 0.0 or s[S.invert] > 0.0:
        light_image(s, target, features, key)
    if s[S.cutout] > 0.0:
        cut_out(s, target, features, key)
    if s[S.noise] > 0.0:
        add_noise(target, features, s[S.noise], random_bits(key, NOISE_STREAM))


@helper
def mix_share(alpha, key):
    """~ Beta(alpha, alpha), the larger of it and 1 - it, so that a row's own part is never the smaller one.

    Joehnk 1964: U^(1/alpha) and V^(1/alpha), drawn until their sum is at most 1; the share of one in the sum. As
    logarithms, for a small alpha makes both powers 0.
    """
    draw = 0
    while True:
        x = math.log(random_uniform(key, np.uint64(draw))) / alpha
        y = math.log(random_uniform(key, np.uint64(draw + 1))) / alpha
        top = max(x, y)
        total = math.exp(x - top) + math.exp(y - top)
        if top + math.log(total) <= 0.0:
            return 1.0 / total
        draw += 2


@stage(void(SUMS, NUMBERS, int64, LABELS, uint64, NUMBERS, NUMBERS))
def mix_rows(s, batch, rows, order, epoch_key, portions, following):
    """Blend each row with the next of the batch, the last with `following` (mixup: Zhang et al. 2018).

    portions[i] receives the share of a row's own part.
    """
    features = int(s[S.features])
    for i in range(rows):
        key = random_bits(random_bits(epoch_key, np.uint64(order[i])), MIX_STREAM)
        share = np.float32(mix_share(s[S.mixup], key))
        portions[i] = share
        rest = np.float32(1) - share
        row = after(batch, i * features)
        partner = after(row, features) if i < rows - 1 else following
        for j in range(features):
            row[j] = share * row[j] + rest * partner[j]
