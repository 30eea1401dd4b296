"""Real data to specialise on, read at run time and never committed.

The module of a data set has `rows(folder, split, n, seed)`; `splits` says which training items choose the checkpoint.
"""
