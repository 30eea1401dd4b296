"""Measured rows read, checked and turned into what the model is asked: layout, formats, lengths, concurrency."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture, number_format
from slmkit.economics.catalogue import find, measured
from slmkit.economics.throughput.shapes import ENGINES
from slmkit.errors import InputError

REQUIRED = ("hardware", "n_gpus", "model", "weight_precision", "out_tok_s_total")
OPTIONAL = ("engine", "kv_precision", "tp", "pp", "dp", "ep", "scenario", "concurrency", "input_len", "output_len")
OPTIONAL += ("source_url", "family", "row_id", "ttft_ms", "tpot_or_itl_ms")
DEFAULT_TOKENS = (150.0, 300.0)  # input and output of a chat request, where a row states neither
# Traffic of MLPerf inference v5.1, where the scenario names one of its data sets.
MLPERF = {
    # data set: mean input and output tokens, (TTFT, TPOT) limits in seconds of the server and interactive scenarios
    "OpenOrca": (292.0, 294.0, {"server": (2.0, 0.2), "interactive": (0.45, 0.04)}),
    "CNN/DailyMail": (870.0, 128.0, {"server": (2.0, 0.1), "interactive": (0.5, 0.03)}),
    "long-context mix": (9428.0, 685.0, {"server": (6.0, 0.175), "interactive": (4.5, 0.08)}),
    "reasoning mix": (1000.0, 3880.0, {"server": (2.0, 0.08)}),
    "mixed": (280.0, 145.0, {"server": (2.0, 0.2)}),
}
P99_OVER_MEAN = (2.0, 1.3)  # of TTFT and TPOT: the benchmark's limits are on the 99th percentile
# Requests of a TensorRT-LLM offline run by (input, output) tokens: its performance overview, preparing a dataset.
OFFLINE_REQUESTS = {
    (128, 128): 30_000,
    (128, 4096): 1_500,
    (2048, 2048): 1_500,
    (5000, 500): 1_500,
    (20000, 2000): 1_000,
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
    if table.empty:
        raise InputError(f"{where}: no rows below the header")
    table = table.assign(**{name: np.nan for name in OPTIONAL if name not in table}).reset_index(drop=True)
    for name in ("n_gpus", "out_tok_s_total"):
        values = pd.to_numeric(table[name], errors="coerce")
        refuse(table, where, name, ~(values > 0) | np.isinf(values), "must be a number above 0")
        table[name] = values
    for name in ("hardware", "model", "weight_precision"):
        refuse(table, where, name, table[name].isna(), "must be given")
    counts = ("tp", "pp", "dp", "ep", "concurrency", "input_len", "output_len")
    for name in (*counts, "ttft_ms", "tpot_or_itl_ms"):
        values = pd.to_numeric(table[name], errors="coerce")
        refuse(table, where, name, (values < 0) | (values.isna() & table[name].notna()), "must be a number or blank")
        table[name] = values
    return table


def refuse(table: pd.DataFrame, where: str, name: str, wrong: pd.Series, rule: str) -> None:
    """InputError for the first row that is marked as wrong, by its number in the file."""
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        value = table[name].iloc[at]
        shown = repr(value) if isinstance(value, str) else value
        raise InputError(f"{where}: row {at + 2}: {name} is {shown}; it {rule}")


def engine_family(engine: object) -> str:
    """Family of a serving engine by the words of its name; `vllm`, the commonest, when none is known."""
    text = str(engine).lower()
    for word, family in FAMILIES.items():
        if word in text:
            return family
    return ENGINES[1]


def layout(row: dict, arch: Architecture | None) -> dict[str, float]:
    """tp, pp, dp, ep and replicas of a row; tp is NaN where it states no layout. dp: ranks of data-parallel attention.

    Some tables write tp x ep, and as many GPUs, where tp GPUs hold ep groups of experts: the row's locator
    (`..._tp8_ep8_...`) then states tp. A tp that doesn't divide the heads, or spreads a MoE beyond 8 GPUs, can't be
    one: attention is data parallel. Data-parallel ranks of a dense model, and GPUs beyond tp x pp, are replicas.
    """
    tp, pp, dp, ep = (row[name] if row[name] and row[name] > 0 else np.nan for name in ("tp", "pp", "dp", "ep"))
    pp, dp, ep = (np.nan_to_num(value, nan=1.0) for value in (pp, dp, ep))
    moe, replicas = arch is not None and arch.moe, 1.0
    located = re.search(r"_tp(\d+)(?:_0)?_ep(\d+|none)", str(row["source_url"]))
    if located:
        tp = float(located[1])
    elif ep > 1 and tp > 8 and tp % ep == 0:
        tp /= ep
    elif tp > 0:
        tp = tp * dp if moe and tp < tp * dp <= row["n_gpus"] / pp else tp
        replicas = max(row["n_gpus"] // (tp * pp), 1.0)
    parallel = (moe and dp > 1) or (arch is not None and tp > 0 and (arch.heads % tp > 0 or (moe and tp > 8)))
    spread = tp if parallel else min(ep, tp) if tp > 0 else ep
    return {"tp": tp, "pp": pp, "dp": tp if parallel else 1.0, "ep": spread, "replicas": replicas}


def scenario(row: dict) -> dict[str, object]:
    """Lengths, what was measured and the limits of a row's scenario.

    `offered`: requests at once, NaN for no end of them. `decode_only`: single-stream tools report the tokens/s of
    generation without the prompt. `tpot_limit_s`, `ttft_limit_s`: limits that the run had to hold, NaN for none.
    """
    text = str(row["scenario"])
    mean, limits = DEFAULT_TOKENS, {}
    for name, (n_in, n_out, bounds) in MLPERF.items():
        if f"({name})" in text:
            mean, limits = (n_in, n_out), bounds
    bound = next((limits[kind] for kind in limits if f"_{kind} " in text), (np.nan, np.nan))
    n_in, n_out = row["input_len"], row["output_len"]
    alone = text.startswith("single_stream")
    offered = 1.0 if alone and not row["concurrency"] > 0 else row["concurrency"]
    if text == "offline_max" and offered != offered and "TensorRT-LLM" in str(row["engine"]):
        offered = float(OFFLINE_REQUESTS.get((n_in, n_out), 3_000))
    return {
        "input_tokens": mean[0] if n_in != n_in else max(n_in, 1),
        "output_tokens": mean[1] if n_out != n_out else max(n_out, 1),
        "default_input": n_in != n_in,
        "decode_only": alone,
        "ttft_limit_s": bound[0] / P99_OVER_MEAN[0],
        "tpot_limit_s": bound[1] / P99_OVER_MEAN[1],
        "offered": offered,
    }


def open_attention(row: dict) -> bool:
    """Whether a saturated row leaves open if attention was data parallel, as engines since 2025 can be told."""
    old = re.search(r"TensorRT-LLM 0\.", str(row["engine"]))
    return row["dp"] != row["dp"] and row["concurrency"] != row["concurrency"] and not old


def questions(table: pd.DataFrame) -> pd.DataFrame:
    """What the model is asked about each row: `arch, gpu, engine, format, kv`, the columns of `layout` and `scenario`,
    and `skip`: why the row can't be predicted, else empty.
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
        elif len(set(re.findall(r"MI\d{3}X|[HB][12]00", str(row["hardware"])))) > 1:
            skip = skip or "mixed hardware"
        try:
            weights = number_format(str(row["weight_precision"]))
        except InputError:
            weights, skip = "bf16", skip or "unknown precision"
        asked.append(
            {
                "arch": arch,
                "gpu": card,
                "engine": engine_family(row["engine"]),
                "format": weights,
                "kv": row["kv_precision"] if isinstance(row["kv_precision"], str) else None,
                **layout(row, arch),
                **scenario(row),
                "open_attention": bool(arch and arch.moe and open_attention(row)),
                "skip": skip,
            }
        )
    return pd.DataFrame(asked, index=table.index)
