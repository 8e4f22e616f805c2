"""Where a training run stands: with the arrays of the network, all that is needed to go on. float64 each."""

(
    status,
    epoch,  # epochs that are finished
    row,  # rows of the epoch under way that are used
    update,
    normed,  # updates that gave the batch norms a statistic
    momentum_left, beta1_left, beta2_left, ema_left,  # beta^t: what the averages still owe to their start
    best_epoch,  # 1 = after the first epoch; 0: none yet
    best_score,  # smaller is better whatever the metric; NaN: none yet
    grad_norm,
    learning_rate,  # of the last update
    layer,  # where a diverged run went wrong
) = range(14)  # fmt: skip
NAMES = tuple(name for name, place in list(vars().items()) if isinstance(place, int))
