"""Notebook 04: a small model by default, a large one by exception, on a world whose final state is checked."""
