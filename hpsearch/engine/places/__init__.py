"""Where each number stands in the three vectors that kernels read: compiled code knows a name by its place.

A module each, for Numba takes the attributes of a module as constants.
"""
