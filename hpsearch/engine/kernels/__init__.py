"""Everything that is compiled: training, evaluation and initialisation of a network in one flat vector.

Read compiling.py first (how the parts are compiled and find each other), then training.py (the entries), layers.py
(forward and backward), then what you came for. Data layout (codes and sizes are in ../layout.py, the places of numbers
in the vectors of settings, state and layers in ../places):

    weights    (parameters,)          each layer's W row by row, b, gamma; then running statistics; modified in place
    gradient, first, second, average  laid out as the weights: gradient, the optimiser's two memories, the average
    activations, slopes (capacity * units,)  inputs and outputs of all layers for up to `capacity` rows, and dg/dz
    signals    (2 * capacity * widest,)  error signals, of one layer and of the one below it
    normalised (capacity * units + units,)  what batch norm keeps for its backward pass; empty without one
    scratch    (...)                  for what is needed only within one step
    inputs     (rows * features,)     with labels (rows,) int32 for classes, or targets (rows,) for regression
    tally      (len(TALLY) + 2 * classes,)  float64 sums from which the metrics of a pass are made

Network arrays are float32, sums are float64. Uncompiled, the same code runs in float64 and is checked by finite
differences. No option, depth, width or batch size compiles anything again: options are integer codes, and each function
has one signature. Only this folder imports Numba.
"""
