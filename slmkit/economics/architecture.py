"""Architectures by name: from the committed table, or from any hub `config.json`."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path

import pandas as pd

from slmkit.economics.tables import read, tokens
from slmkit.economics.throughput.config_json import from_config
from slmkit.economics.throughput.decoder import BITS, FORMATS, Architecture, number_format
from slmkit.errors import InputError, unknown

# Words of a model's name that say how it was tuned or stored, not what its shape is.
DRESS = {"instruct", "chat", "it", "hf", "base", "pt", "thinking", "preview", "dynamic", "block", "tensor", "kv"}
DRESS |= {*BITS, *FORMATS, "quantized", "gguf", "non", "reasoning", "turbo", "lite", "latest", "instant", "versatile"}
FIELDS = {field.name: field.type for field in dataclasses.fields(Architecture)}


@cache
def catalogue() -> dict[str, Architecture]:
    """Architectures of the committed table by their name."""
    found = {}
    for row in read("models.csv").to_dict("records"):
        values = {name: row[name] for name in FIELDS if name in row}
        ints = {name: int(value) for name, value in values.items() if FIELDS[name] == "int"}
        texts = {
            name: value if isinstance(value, str) else "" for name, value in values.items() if FIELDS[name] == "str"
        }
        found[row["name"]] = Architecture(**{**texts, **ints, "tied": bool(row["tied"])})
    return found


def bare(name: str) -> tuple[str, ...]:
    """Words of a model's name without organisation, tuning, date and storage: what is left tells the shape."""
    words = tokens(name.rsplit("/", 1)[-1])
    kept = [word for word in words if word not in DRESS and not re.fullmatch(r"\d{4}|20\d{6}|\d+e|v\d+(\.\d+)*", word)]
    return tuple(kept) or tuple(words)


@cache
def names() -> dict[tuple[str, ...], str]:
    """Bare words of every name and alias of the catalogue, to the name."""
    table = read("models.csv")
    known = {}
    for name, aliases in zip(table["name"], table["aliases"].fillna(""), strict=True):
        for alias in (name, *filter(None, aliases.split(";"))):
            known.setdefault(bare(alias), name)
    return known


def architecture(name: str | Path | Architecture) -> Architecture:
    """The architecture of a catalogue name, of a hub `config.json`, or of a folder that holds one.

    Case, organisation and suffixes (`-Instruct`, dates, `-FP8`) don't matter. InputError with the nearest names.
    """
    if isinstance(name, Architecture):
        return name
    text = str(name)
    if text in catalogue():
        return catalogue()[text]
    path = Path(text)
    if path.suffix == ".json" or (path / "config.json").is_file():
        return from_config(path)
    if bare(text) in names():
        return catalogue()[names()[bare(text)]]
    if path.exists():
        raise InputError(f"{text}: has no config.json; name a model folder, a config.json or a model of the catalogue")
    raise unknown("model", text, catalogue())


def architectures() -> pd.DataFrame:
    """The committed table, with `params`, `active_params` (counts) and `kv_bytes_per_token` (16-bit) computed."""
    table = read("models.csv")
    known = [catalogue()[name] for name in table["name"]]
    return table.assign(
        params=[arch.params for arch in known],
        active_params=[arch.active_params for arch in known],
        kv_bytes_per_token=[arch.kv_bytes_per_token() for arch in known],
    )


__all__ = ["BITS", "Architecture", "architecture", "architectures", "catalogue", "number_format"]
