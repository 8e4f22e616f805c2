"""The learning rate of an update (TECHNIQUES 18).

Cosines: Loshchilov and Hutter 2017, arXiv 1608.03983. Rising, to find the range in which a network learns: Smith 2017,
arXiv 1506.01186, section 3.3, evenly on a logarithmic scale over RISE decades up to the rate.
"""

from __future__ import annotations

import math

from numba import float64, int64

from hpsearch.engine.kernels.compiling import SUMS, stage
from hpsearch.engine.layout import SCHEDULES
from hpsearch.engine.places import settings as S

CONSTANT, INVERSE, EXPONENTIAL, POWER, STAIRCASE, COSINE, _, RISING = range(len(SCHEDULES))
RISE = 4.0  # decades
ALMOST = 1e-9  # of an epoch: what rounding may take from a whole number of them


@stage(float64(SUMS, int64, int64))
def learning_rate_at(s, update, updates_per_epoch):
    """The learning rate of update number `update` (from 1).

    Warm-up rises linearly to its end; the schedule begins behind it. The cosines and rising change from update to
    update, the others from epoch to epoch.
    """
    rate = s[S.learning_rate]
    schedule = s[S.schedule]
    warmup = s[S.warmup]
    done = (update - 1) / updates_per_epoch
    if done < warmup - ALMOST:
        return rate * min(1.0, update / (warmup * updates_per_epoch))
    if schedule == CONSTANT:
        return rate
    done -= warmup
    epoch = float(math.floor(done + ALMOST))
    if schedule == INVERSE:
        return rate / (1.0 + s[S.decay] * epoch)
    if schedule == EXPONENTIAL:
        return rate * math.exp(-s[S.decay] * epoch)
    if schedule == POWER:
        return rate / math.pow(epoch + 1.0, s[S.decay_power])
    if schedule == STAIRCASE:
        return rate * math.pow(s[S.decay_factor], float(math.floor((epoch + 0.5) / s[S.decay_epochs])))
    start, length = 0.0, s[S.epochs] - warmup
    if schedule == RISING:
        return rate * math.pow(10.0, RISE * (done / length - 1.0))
    if schedule != COSINE:
        length = s[S.decay_epochs]
        while done >= start + length - ALMOST:
            start += length
            length *= s[S.restart_growth]
    return rate * 0.5 * (1.0 + math.cos(math.pi * (done - start) / length))
