"""What a training run is told, never changed by it: float64 each, options by their code."""

(
    task, metric, activation, init, output, loss, huber_delta, optimizer, epochs, batch_size,
    patience,  # epochs without improvement before the end; 0: never
    min_delta, learning_rate, schedule, decay, decay_power, decay_factor, decay_epochs, restart_growth, warmup,
    momentum, momentum_form, momentum_correction, beta1, beta2, epsilon, l2, l1, weight_decay, input_dropout,
    label_smoothing, clip_norm, max_norm, ema,
    weighted,  # whether classes have weights
    augmented,  # whether any of the following is not 0
    shift, rotate, scale, cutout, flip_h, flip_v, invert, brightness, noise, mixup,
    height, width, channels,  # of images; 0: rows are no images
    darkest, brightest,  # smallest and largest input of the training rows
    features, outputs, layers, trained, parameters, units, widest,  # of the network, see layout.py
    sparse,  # terms of a row in the first layer, see kernels/sparse.py; 0: it is a dense product
) = range(59)  # fmt: skip
NAMES = tuple(name for name, place in list(vars().items()) if isinstance(place, int))
