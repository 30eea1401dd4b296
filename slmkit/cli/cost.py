"""`slmkit cost`: compare, calibrate, fit, validate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from slmkit.console import save, show
from slmkit.errors import InputError

cost_app = typer.Typer(help="What a token and a solved task cost, with the error of each figure.", no_args_is_help=True)
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]
SHOWN = ("role", "offer", "usd_per_mtok_in", "usd_per_mtok_out", "usd_per_1k_calls", "batch")
LATENCIES = (
    "role",
    *(f"{what}{end}" for what in ("tpot", "ttft") for end in ("_ms", "_ms_low", "_ms_high", "_regime")),
)
MEASURED = ("batch", "ttft_s", "tpot_s", "out_tok_s", "peak_bytes", "usd_per_mtok_in", "usd_per_mtok_out",
            "predicted_out_tok_s", "error")  # fmt: skip


def plain(value: Any) -> Any:
    """A result as JSON can hold it: numbers of numpy as Python's, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cost_app.command()
def compare(
    slm: Annotated[str, typer.Option(help="Small model: of the catalogue, or a folder or config.json.")],
    llm: Annotated[str, typer.Option(help="Large model, likewise.")],
    gpu: Annotated[str, typer.Option(help="GPU of the catalogue.")] = "h100",
    usd_per_hour: Annotated[float | None, typer.Option(help="Rent of a GPU hour; else the catalogue's.")] = None,
    tpot_ms: Annotated[float | None, typer.Option(help="Limit on the time a token, ms.")] = None,
    ttft_ms: Annotated[float | None, typer.Option(help="Limit on the time to the first token, ms.")] = None,
    utilization: Annotated[float, typer.Option(help="Busy share of the endpoints, in (0, 1].")] = 1.0,
    input_tokens: Annotated[int, typer.Option(help="Input tokens of a call.")] = 1_000,
    output_tokens: Annotated[int, typer.Option(help="Output tokens of a call.")] = 1_000,
    max_gpus: Annotated[int, typer.Option(min=1, help="GPUs of one replica at most.")] = 8,
    json: Json = None,
) -> None:
    """Price a small and a large model side by side: self-hosted and by API, with ratio and break-even load.

    Example: slmkit cost compare --slm llama-3.1-8b --llm llama-3.1-70b --gpu h100 --tpot-ms 25 --utilization 0.3
    """
    from slmkit.economics import compare as comparison
    from slmkit.economics.cost import above_zero

    if usd_per_hour is not None:
        above_zero(usd_per_hour=usd_per_hour)
    for name, limit in (("tpot_ms", tpot_ms), ("ttft_ms", ttft_ms)):
        if limit is not None:
            above_zero(**{name: limit})
    setting = comparison.Setting(
        gpu=gpu, usd_per_gpu_hour=usd_per_hour or 0.0, input_tokens=input_tokens, output_tokens=output_tokens,
        tpot_limit_s=None if tpot_ms is None else tpot_ms / 1e3,
        ttft_limit_s=None if ttft_ms is None else ttft_ms / 1e3, utilization=utilization, max_gpus=max_gpus,
    )  # fmt: skip
    found = plain(comparison.compare(slm, llm, setting))
    show([{name: row[name] for name in SHOWN} for row in found["offers"]])
    for row in found["offers"]:
        if row["rests_on"]:
            typer.echo(f"* {row['rests_on']}; regime: {row['regime']}")
    typer.echo("\nas a load test would report it, with the 95 % ends of the error:")
    show([{name: row[name] for name in LATENCIES} for row in found["offers"] if row["tpot_ms"] is not None])
    ratio = found["ratio"]
    typer.echo(
        f"\nlarge over small, self-hosted, a call: {ratio['ratio']:.3g} [{ratio['low']:.3g}, {ratio['high']:.3g}] "
        "(95 %, prediction error)\n\nthe small model's own endpoint is cheaper above this load:"
    )
    show([{name: row[name] for name in ("against", "utilization", "calls_per_month")} for row in found["break_even"]])
    save(found, json)


@cost_app.command()
def calibrate(
    model: Annotated[str, typer.Argument(help="Model reference, or random:NAME for a shape of the catalogue.")],
    batches: Annotated[str, typer.Option(help="Batch sizes, or requests at once of a server.")] = "1,2,4,8",
    input_tokens: Annotated[int, typer.Option(help="Input tokens of a request.")] = 256,
    output_tokens: Annotated[int, typer.Option(help="Output tokens of a request.")] = 32,
    usd_per_hour: Annotated[float | None, typer.Option(help="What this hardware costs an hour.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Json = None,
) -> None:
    """Measure a model here at several batch sizes, price it, and hold the prediction against it.

    Example: slmkit cost calibrate mini-2m --batches 1,8,32
    """
    from slmkit.economics import calibrate as calibration

    try:
        sizes = [int(size) for size in batches.split(",")]
    except ValueError:
        raise InputError(f"--batches {batches}: write numbers with commas, such as 1,4,16") from None
    price = {} if usd_per_hour is None else {"usd_per_hour": usd_per_hour, "price_source": "price given by the user"}
    table = calibration.rows(model, sizes, input_tokens, output_tokens, device=device, **price)
    rows = [plain(row) for row in table.to_dict("records")]
    typer.echo(f"{rows[0]['model']} on {rows[0]['device']} at USD {rows[0]['usd_per_hour']:g} an hour "
    f"({rows[0]['price_source']})")  # fmt: skip
    show([{name: row[name] for name in MEASURED if name in row} for row in rows])
    save(rows, json)


@cost_app.command()
def fit(
    rows: Annotated[Path | None, typer.Option(help="CSV of measured rows; else the committed ones.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write constants, errors and date to this file.")] = None,
    json: Json = None,
) -> None:
    """Refit the constants of the throughput model and print their error on rows left out; some minutes.

    Example: slmkit cost fit --out constants.json
    """
    from slmkit.economics.fit import SPLITS, refit, usable
    from slmkit.economics.throughput.rows import read_measured

    table = read_measured(rows)
    kinds = usable(table)
    for split, what in SPLITS.items():
        if kinds[f"left_out_{split}"].nunique() < 2:
            raise InputError(
                f"{rows}: needs rows of at least two kinds of {what}, since one is left out to find the error"
            )
    record = plain(refit(table, out))
    typer.echo(f"{record['n_rows']} rows, {len(record['constants'])} constants, fitted on {record['fitted_on']}")
    show([{"left out": split, "rows": kind} | found for split, kinds in record["held_out"].items()
          for kind, found in kinds.items()])  # fmt: skip
    for what in ("ttft", "tpot"):
        typer.echo(f"\n{what.upper()}:")
        show([{"left out": split, "rows": kind} | found for split, kinds in record["latency"]["held_out"].items()
              for kind, found in kinds[what].items()])  # fmt: skip
    save(record, json)


@cost_app.command()
def validate(
    measured: Annotated[Path | None, typer.Argument(help="CSV of measured rows; else the committed ones.")] = None,
    json: Json = None,
) -> None:
    """Predicted against measured tokens/s, TTFT and TPOT: error overall and by regime, as fractions.

    Example: slmkit cost validate measured.csv --json errors.json
    """
    from slmkit.economics.throughput.rows import read_measured
    from slmkit.economics.validate import validate as judge

    found = plain(judge(read_measured(measured)))
    whole = {name: found[name] for name in ("n", "median_ape", "p90_ape", "bias")}
    show([{"regime": "all"} | whole, *({"regime": name} | part for name, part in found["regimes"].items())])
    for what, part in found["latency"].items():
        if part["n"]:
            typer.echo(f"\n{what.upper()}:")
            rows = {"all": {name: part[name] for name in whole}} | part["regimes"]
            show([{"regime": name} | row for name, row in rows.items()])
    if found["skipped"]:
        typer.echo("\nnot predicted:")
        show([{"reason": reason, "rows": n} for reason, n in found["skipped"].items()])
    save(found, json)
