"""Real data to specialise on, read at run time and never committed: each module has `rows(folder, split, n, seed)`."""
