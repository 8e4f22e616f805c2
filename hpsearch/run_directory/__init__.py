"""A run on disk: the journal is the truth, everything else is a view made from it."""
