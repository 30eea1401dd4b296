"""Which part of a source's training items chooses the checkpoint: drawn by name, so that it is the same in each run."""

from __future__ import annotations

import hashlib


def chooses(name: str, one_in: int = 10) -> bool:
    """Whether the item of this name is for validation, as one in so many is."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:4], 16) % one_in == 0
