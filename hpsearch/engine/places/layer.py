"""A layer of weights: its size, and where its parts start in the flat vector (-1: it has no such part). int64 each."""

(
    n_in, n_out, weight,
    bias,  # with batch norm the shift, beta
    gain, mean, variance,  # of batch norm: gamma and the running statistics
    end,  # of what is trained in this layer
    before,  # units of all layers below its input: times the rows there is room for, where its input stands
) = range(9)  # fmt: skip
NAMES = tuple(name for name, place in list(vars().items()) if isinstance(place, int))
WIDTH = len(NAMES)
