"""Measured rows read, checked and turned into what the model is asked: layout, formats, lengths, concurrency."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from slmkit.economics.architecture import architecture, number_format
from slmkit.economics.catalogue import find, measured
from slmkit.economics.roofline_shapes import ENGINES
from slmkit.errors import InputError

REQUIRED = ("hardware", "n_gpus", "model", "weight_precision", "out_tok_s_total")
OPTIONAL = ("engine", "kv_precision", "tp", "pp", "dp", "ep", "scenario", "concurrency", "input_len", "output_len")
OPTIONAL += ("source_url", "family", "row_id")
DEFAULT_TOKENS = (150.0, 300.0)  # input and output of a chat request, where a row states neither
# Mean tokens of a benchmark's own data set, where the scenario names one (MLPerf inference v5.1).
SCENARIO_TOKENS = {
    "OpenOrca": (292.0, 294.0),
    "CNN/DailyMail": (870.0, 128.0),
    "long-context mix": (9428.0, 685.0),
    "reasoning mix": (1000.0, 3880.0),
    "mixed": (280.0, 145.0),
}
FAMILIES = {"tensorrt": "trtllm", "trt": "trtllm", "nim": "trtllm", "vllm": "vllm", "sglang": "sglang"}
FAMILIES |= {"llama.cpp": "llama.cpp", "ollama": "llama.cpp", "mlc": "llama.cpp"}


def read_measured(path: str | Path | None = None) -> pd.DataFrame:
    """Measured rows of a CSV in the columns of `measured_throughput.csv`; the committed ones without a path.

    InputError names the missing column, or the row (the header is row 1) with a number that can't be used.
    """
    if path is None:
        return checked(measured(), "measured_throughput.csv")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    return checked(table, str(path))


def checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows, with every optional column present; InputError for the first entry that can't be used."""
    if missing := [name for name in REQUIRED if name not in table]:
        raise InputError(f"{where}: no column {missing[0]!r}; it needs {', '.join(REQUIRED)}")
    table = table.assign(**{name: np.nan for name in OPTIONAL if name not in table})
    for name in ("n_gpus", "out_tok_s_total"):
        values = pd.to_numeric(table[name], errors="coerce")
        refuse(table, where, name, ~(values > 0) | np.isinf(values), "must be a number above 0")
        table[name] = values
    for name in ("hardware", "model", "weight_precision"):
        refuse(table, where, name, table[name].isna(), "must be given")
    for name in ("tp", "pp", "dp", "ep", "concurrency", "input_len", "output_len"):
        values = pd.to_numeric(table[name], errors="coerce")
        refuse(table, where, name, (values < 0) | (values.isna() & table[name].notna()), "must be a number or blank")
        table[name] = values
    return table


def refuse(table: pd.DataFrame, where: str, name: str, wrong: pd.Series, rule: str) -> None:
    """InputError for the first row that is marked as wrong, by its number in the file."""
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{where}: row {at + 2}: {name} is {table[name].iloc[at]!r}; it {rule}")


def engine_family(engine: object) -> str:
    """Family of a serving engine by the words of its name; `vllm`, the commonest, when none is known."""
    text = str(engine).lower()
    for word, family in FAMILIES.items():
        if word in text:
            return family
    return ENGINES[1]


def layout(row: pd.Series, heads: int) -> tuple[float, float, float, float]:
    """(tp, pp, dp, ep) of a row; dp is the number of ranks that attention is data parallel over.

    Some tables write tp x ep, and as many GPUs, where tp GPUs hold ep groups of experts: the row's locator
    (`..._tp8_ep8_...`) then states tp. A tp that doesn't divide the heads can't be one: attention is data parallel.
    """
    gpus = max(row["n_gpus"], 1)
    pp = max(row["pp"], 1) if row["pp"] == row["pp"] else 1
    tp = row["tp"] if row["tp"] == row["tp"] and row["tp"] > 0 else gpus / pp
    ep = row["ep"] if row["ep"] == row["ep"] and row["ep"] > 0 else 1
    dp = row["dp"] if row["dp"] == row["dp"] and row["dp"] > 0 else 1
    located = re.search(r"_tp(\d+)(?:_0)?_ep(\d+|none)", str(row["source_url"]))
    if located:
        tp = float(located[1])
    elif ep > 1 and tp > 8 and tp % ep == 0:
        tp /= ep
    if dp > 1 or heads % tp:
        dp = tp
    return tp, pp, dp, min(ep, tp) if dp == 1 else tp


def questions(table: pd.DataFrame) -> pd.DataFrame:
    """What the model is asked about each row, in columns `arch, gpu, engine, format, kv, tp, pp, dp, ep, input_tokens,
    output_tokens, concurrency, default_input` and `skip`: why a row can't be predicted, else empty.
    """
    asked = []
    for row in table.to_dict("records"):
        try:
            arch, skip = architecture(str(row["model"])), ""
        except InputError:
            arch, skip = None, "unknown model"
        card = find(str(row["hardware"]))
        if card is None:
            skip = skip or "unknown hardware"
        elif len(re.findall(r"\bMI\d{3}X|\b[HB]\d00\b", str(row["hardware"]))) > 1:
            skip = skip or "mixed hardware"
        try:
            weights = number_format(str(row["weight_precision"]))
        except InputError:
            weights, skip = "bf16", skip or "unknown precision"
        mean = next((pair for name, pair in SCENARIO_TOKENS.items() if f"({name})" in str(row["scenario"])), None)
        mean = mean or DEFAULT_TOKENS
        n_in, n_out = row["input_len"], row["output_len"]
        tp, pp, dp, ep = layout(row, arch.heads if arch else 1)
        asked.append(
            {
                "arch": arch,
                "gpu": card,
                "engine": engine_family(row["engine"]),
                "format": weights,
                "kv": row["kv_precision"] if isinstance(row["kv_precision"], str) else None,
                **dict(tp=tp, pp=pp, dp=dp, ep=ep),
                "input_tokens": mean[0] if n_in != n_in else max(n_in, 1),
                "output_tokens": mean[1] if n_out != n_out else max(n_out, 1),
                "concurrency": row["concurrency"],
                "default_input": n_in != n_in,
                "skip": skip,
            }
        )
    return pd.DataFrame(asked, index=table.index)
