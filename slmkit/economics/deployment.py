"""The best way to serve a model on a kind of GPU: how many, split how, in which precision, how many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture
from slmkit.economics.catalogue import GPU
from slmkit.economics.catalogue import gpu as device
from slmkit.economics.roofline import MAX_BATCH, predict
from slmkit.errors import InputError

MOST_GPUS = 64  # looked at when a model doesn't fit
BATCHES = np.unique(np.round(2 ** np.arange(0, np.log2(MAX_BATCH) + 0.01, 0.25)))


@dataclass(frozen=True)
class Deployment:
    """A way to serve, and what it does: tokens/s, seconds, bytes. `fits` is False when none does; `why` says why."""

    model: str
    gpu: str
    fits: bool
    why: str = ""
    tp: int = 0
    pp: int = 0
    dp: int = 0  # ranks that attention is data parallel over: 1, or tp for a mixture of experts
    precision: str = ""
    batch: float = 0.0
    out_tok_s_total: float = 0.0
    out_tok_s_per_gpu: float = 0.0
    in_tok_s_total: float = 0.0
    tpot_s: float = float("nan")
    ttft_s: float = float("nan")
    input_time_share: float = float("nan")
    compute_share: float = float("nan")
    memory_share: float = float("nan")

    @property
    def n_gpus(self) -> int:
        """GPUs of one replica."""
        return self.tp * self.pp


def layouts(arch: Architecture, card: GPU, max_gpus: int) -> list[tuple[int, int, int]]:
    """(tp, pp, dp) of up to `max_gpus` GPUs: tp divides the heads and stays on one fabric; a mixture of experts may
    also have its attention data parallel (dp = tp), its experts then spread over the same GPUs.
    """
    powers = [2**i for i in range(12) if 2**i <= max_gpus]
    tps = [tp for tp in powers if arch.heads % tp == 0 and tp <= card.fabric_gpus]
    stages = [pp for pp in powers if pp <= arch.layers] if card.fabric != "none" else [1]
    pairs = [(tp, pp) for tp in tps for pp in stages if tp * pp <= max_gpus]
    plain = [(tp, pp, 1) for tp, pp in pairs]
    return plain + [(tp, pp, tp) for tp, pp in pairs if arch.moe and tp > 1 and pp == 1]


def candidates(
    arch: str | Architecture,
    gpu: str | GPU,
    *,
    input_tokens: float,
    output_tokens: float,
    max_gpus: int = 8,
    precisions: Sequence[str] = ("bf16", "fp8"),
    engine: str = "vllm",
    constants: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Every layout, precision and batch, one a row, with the columns of `roofline.predict`."""
    if min(input_tokens, output_tokens, max_gpus) < 1:
        raise InputError(f"input {input_tokens}, output {output_tokens}, GPUs {max_gpus}: each must be at least 1")
    model, card = architecture(arch), device(gpu)
    points = [
        (tp, pp, dp, precision, batch)
        for tp, pp, dp in layouts(model, card, max_gpus)
        for precision in precisions
        for batch in BATCHES
        if batch >= pp
    ]
    table = pd.DataFrame(points, columns=["tp", "pp", "dp", "precision", "concurrency"])
    found = predict(
        model,
        card,
        tp=table["tp"],
        pp=table["pp"],
        dp=table["dp"],
        ep=table["dp"],
        precision=table["precision"],
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        concurrency=table["concurrency"],
        engine=engine,
        constants=constants,
    )
    table = table.assign(**found)
    return table.assign(n_gpus=table["tp"] * table["pp"], tok_s_per_user=1 / table["tpot_s"])


def best(
    arch: str | Architecture,
    gpu: str | GPU,
    *,
    input_tokens: float,
    output_tokens: float,
    tpot_limit_s: float | None = None,
    ttft_limit_s: float | None = None,
    max_gpus: int = 8,
    precisions: Sequence[str] = ("bf16", "fp8"),
    engine: str = "vllm",
    constants: Mapping[str, float] | None = None,
) -> Deployment:
    """The deployment with most output tokens/s a GPU under the limits (s), or one that says why there is none."""
    model, card = architecture(arch), device(gpu)
    table = candidates(
        model,
        card,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        max_gpus=max_gpus,
        precisions=precisions,
        engine=engine,
        constants=constants,
    )
    named = {"model": model.name, "gpu": card.name}
    holding = table[table["fits"]]
    if holding.empty:
        closest = table.loc[table["short_bytes"].idxmin()]
        short = f"{closest.short_bytes:,.0f} bytes ({closest.short_bytes / 1e9:.1f} GB)"
        why = f"{model.name} lacks {short} on {closest.n_gpus:.0f} {card.name} in {closest.precision}"
        mend = what_fits(model, card, input_tokens, output_tokens, [*precisions, "fp8", "fp4"])
        return Deployment(**named, fits=False, why=f"{why}; {mend}")
    # A batch beyond what memory holds is served as the smaller one plus a queue: not a point of its own.
    holding = holding[holding["batch"] >= holding["concurrency"] * 0.999]
    within = holding
    for column, limit in (("tpot_s", tpot_limit_s), ("ttft_s", ttft_limit_s)):
        if limit is not None:
            within = within[within[column] <= limit]
    if within.empty:
        fastest = holding.loc[holding["tpot_s"].idxmin()]
        soonest = holding["ttft_s"].min()
        floor = f"{fastest.tpot_s * 1e3:.1f} ms a token and {soonest * 1e3:.0f} ms to the first at best"
        return Deployment(**named, fits=False, why=f"{model.name} on {card.name} is too slow: {floor}")
    row = within.loc[within["out_tok_s_per_gpu"].idxmax()]
    fields = {name: row[name] for name in Deployment.__dataclass_fields__ if name in row and name not in named}
    fields = {name: value if isinstance(value, str) else float(value) for name, value in fields.items()}
    fields |= {"tp": int(row.tp), "pp": int(row.pp), "dp": int(row.dp), "fits": True}
    return Deployment(**named, **fields)


def what_fits(
    model: Architecture, card: GPU, input_tokens: float, output_tokens: float, precisions: Sequence[str]
) -> str:
    """The fewest GPUs that hold the model and one request, in each precision that needs fewer than those before."""
    sizes = [(tp, pp) for tp, pp, dp in layouts(model, card, MOST_GPUS) if dp == 1]
    found, fewest = [], MOST_GPUS + 1
    for precision in dict.fromkeys(precisions):
        tp, pp = (np.array(column) for column in zip(*sizes, strict=True))
        traffic = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        fits = predict(model, card, tp=tp, pp=pp, precision=precision, **traffic)["fits"]
        if fits.any() and (n := int((tp * pp)[fits].min())) < fewest:
            found, fewest = [*found, f"{n} {card.name} in {precision}"], n
    return f"it fits on {' or '.join(found)}" if found else f"it fits on no {MOST_GPUS} of them in 4 bits or more"


def frontier(arch: str | Architecture, gpu: str | GPU, **traffic) -> pd.DataFrame:
    """Throughput against interactivity: rows that no other beats in both `tok_s_per_user` and `tok_s_per_gpu`.

    Takes the keywords of `candidates`. Sorted by `tok_s_per_user`; empty when the model doesn't fit.
    """
    table = candidates(arch, gpu, **traffic)
    table = table[table["fits"] & (table["batch"] >= table["concurrency"] * 0.999)]
    table = table.rename(columns={"out_tok_s_per_gpu": "tok_s_per_gpu"}).sort_values("tok_s_per_user", ascending=False)
    record = table["tok_s_per_gpu"].cummax()
    kept = table[(table["tok_s_per_gpu"] >= record) & (record > record.shift(fill_value=0))]
    return kept.sort_values("tok_s_per_user").reset_index(drop=True)
