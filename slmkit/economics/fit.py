"""Fits the physical constants of the throughput model to measured rows, and measures their error on held-out rows."""

from __future__ import annotations
