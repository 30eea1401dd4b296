"""Hardware, rents, API prices and published throughput: the committed facts, each row with source and date."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pandas as pd

from slmkit.economics.tables import read, tokens
from slmkit.errors import unknown

FORMATS = ("bf16", "fp8", "int8", "fp4")


@dataclass(frozen=True)
class GPU:
    """An accelerator, or any device that runs a model. Bytes are bytes; rates are dense, per device."""

    name: str
    vendor: str
    memory_bytes: float
    bandwidth_bytes_s: float
    peak_flops: dict[str, float] = field(hash=False)  # FLOP/s by number format: bf16, fp8, int8, fp4
    tdp_w: float | None = None
    link_bytes_s: float = 0.0  # per direction: to the switch or bus; on a mesh (infinity) to each peer
    fabric: str = "none"  # nvlink, infinity, pcie, ethernet, none
    fabric_gpus: int = 1  # devices that the fabric joins
    kind: str = "datacenter"  # or consumer, server-cpu, edge, phone
    host: str = "x86"  # processor beside it: x86, or arm, whose single thread is slower
    source: str = ""
    as_of: str = ""

    def peak(self, number_format: str) -> float:
        """FLOP/s for weights in `number_format`: that of the narrowest unit that takes them, else of bf16."""
        return self.peak_flops.get(number_format) or self.peak_flops["bf16"]


@cache
def devices() -> dict[str, GPU]:
    """Devices of the committed table by name."""
    found = {}
    for row in read("gpus.csv").astype(object).where(lambda table: table.notna(), None).to_dict("records"):
        peaks = {name: float(row[f"{name}_flop_s"]) for name in FORMATS if row[f"{name}_flop_s"]}
        same = {name: row[name] for name in ("name", "vendor", "fabric", "kind", "host", "source", "as_of")}
        found[row["name"]] = GPU(
            **{key: value or "" for key, value in same.items()},
            memory_bytes=float(row["memory_bytes"]),
            bandwidth_bytes_s=float(row["bandwidth_bytes_s"]),
            peak_flops=peaks,
            tdp_w=None if row["tdp_w"] is None else float(row["tdp_w"]),
            link_bytes_s=float(row["link_bytes_s"] or 0),
            fabric_gpus=int(row["fabric_gpus"]),
        )
    return found


@cache
def names() -> dict[tuple[str, ...], str]:
    """Words of every name and alias, to the name of the device."""
    table = read("gpus.csv")
    known = {}
    for name, aliases in zip(table["name"], table["aliases"].fillna(""), strict=True):
        for alias in (name, *filter(None, aliases.split(";"))):
            known.setdefault(tuple(tokens(alias)), name)
    return known


def find(name: str) -> str | None:
    """Name of the device that the words of `name` mention, by its longest alias; None when there is none."""
    words = tokens(name)
    best, length = None, 0
    for alias, device in names().items():
        places = (words[i : i + len(alias)] == list(alias) for i in range(len(words)))
        if len("".join(alias)) > length and any(places):
            best, length = device, len("".join(alias))
    return best


def gpu(name: str | GPU) -> GPU:
    """A device by name or alias (`h100`, `H100-SXM`, `NVIDIA H100 80GB HBM3`); InputError with the nearest names."""
    if isinstance(name, GPU):
        return name
    found = find(str(name))
    if found is None:
        raise unknown("GPU", str(name), devices())
    return devices()[found]


def gpus() -> pd.DataFrame:
    """The committed table of devices: bytes, bytes/s, FLOP/s, W."""
    return read("gpus.csv")


def rents() -> pd.DataFrame:
    """Rents in USD per GPU hour, each with source and date; `device` is the catalogue's name; missing where a row
    prices several kinds together.
    """
    table = read("gpu_rents.csv")
    return table.assign(device=[None if "/" in name else find(name) for name in table["gpu"]])


def api_prices() -> pd.DataFrame:
    """List prices in USD per million tokens, each with source and date."""
    return read("api_prices.csv")


def measured() -> pd.DataFrame:
    """Published throughput, one measurement a row; the columns are described in data/README.md."""
    return read("measured_throughput.csv")
