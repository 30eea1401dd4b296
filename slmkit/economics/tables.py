"""The committed tables of `data/economics/`, and names compared word by word."""

from __future__ import annotations

import re
from functools import cache

import pandas as pd

from slmkit.config import resource
from slmkit.errors import InputError


@cache
def load(name: str) -> pd.DataFrame:
    """One table, read once; InputError when it is missing or broken."""
    path = resource(f"data/economics/{name}")
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it from the repository") from None


def read(name: str) -> pd.DataFrame:
    """A copy of a table of `data/economics/` by file name."""
    return load(name).copy()


def tokens(name: str) -> list[str]:
    """Words of a name in lower case: runs of letters, digits and points (`Qwen3-0.6B` gives qwen3, 0.6b)."""
    return re.findall(r"[a-z0-9.]+", name.lower())
