"""The physical constants of the throughput model, as fitted on the committed rows (`fit.py`)."""

from __future__ import annotations

import json
from functools import cache
from types import MappingProxyType

from slmkit.config import resource

FILE = "data/economics/constants.json"


@cache
def record() -> dict:
    """The committed record: `constants`, `fitted_on` (date), `rows_sha256`, `n_rows` and held-out errors."""
    return json.loads(resource(FILE).read_text(encoding="utf-8"))


@cache
def fitted() -> MappingProxyType[str, float]:
    """The constants by name; `roofline_steps.py` says what each means and its unit."""
    return MappingProxyType(record()["constants"])
