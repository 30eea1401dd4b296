"""`slmkit cost`: tables for people, JSON for machines, one line for bad input."""

from __future__ import annotations

import json
import sys
from typing import NamedTuple

import pandas as pd
import pytest
from typer.testing import CliRunner

from slmkit import cli
from slmkit.economics.catalogue import measured


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def slmkit(monkeypatch, capsys):
    """Run the command as a user does, in this process."""

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["slmkit", *words])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    return run


PAIR = ("cost", "compare", "--slm", "llama-3.1-8b", "--llm", "llama-3.1-70b")


@pytest.mark.parametrize("command", ["compare", "calibrate", "fit", "validate"])
def test_help_has_an_example(command, slmkit):
    result = CliRunner().invoke(cli.app, ["cost", command, "--help"])
    assert result.exit_code == 0 and f"Example: slmkit cost {command}" in " ".join(result.stdout.split())


def test_compare_prints_offers_and_writes_json(tmp_path, slmkit):
    path = tmp_path / "compared.json"
    done = slmkit(*PAIR, "--gpu", "h100", "--tpot-ms", "25", "--utilization", "0.3", "--json", str(path))
    assert done.returncode == 0, done.stderr
    assert "large over small" in done.stdout and "Llama-3.1-8B" in done.stdout
    found = json.loads(path.read_text())
    assert found["setting"]["gpu"] == "H100-SXM" and found["setting"]["utilization"] == 0.3
    assert found["ratio"]["low"] < found["ratio"]["ratio"] < found["ratio"]["high"]
    hosted = [row for row in found["offers"] if row["kind"] == "self-hosted"]
    assert all(row["tpot_ms"] <= 25 and row["usd_per_gpu_hour"] > 0 and row["error_median"] > 0 for row in hosted)
    assert all(row["price_source"] for row in found["offers"]) and found["break_even"]


def test_a_price_given_twice_as_high_costs_twice_as_much(tmp_path, slmkit):
    calls = []
    for usd in ("2", "4"):
        path = tmp_path / f"{usd}.json"
        assert slmkit(*PAIR, "--usd-per-hour", usd, "--json", str(path)).returncode == 0
        calls.append(json.loads(path.read_text())["offers"][0]["usd_per_1k_calls"])
    assert calls[1] == pytest.approx(2 * calls[0])


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("cost", "compare", "--slm", "llama-3.1-9b", "--llm", "llama-3.1-70b"), "did you mean 'Llama-3.1-8B'"),
        ((*PAIR, "--gpu", "h101x"), "unknown GPU"),
        ((*PAIR, "--usd-per-hour", "0"), "usd_per_hour: expected an amount above 0"),
        ((*PAIR, "--usd-per-hour", "-1"), "usd_per_hour: expected an amount above 0"),
        ((*PAIR, "--utilization", "0"), "utilization: expected a share in (0, 1]"),
        ((*PAIR, "--utilization", "1.1"), "utilization: expected a share in (0, 1]"),
        ((*PAIR, "--tpot-ms", "-5"), "tpot_ms"),
        ((*PAIR, "--output-tokens", "0"), "output_tokens"),
        ((*PAIR, "--gpu", "l4", "--max-gpus", "1"), "of them would hold it"),
        ((*PAIR, "--tpot-ms", "2"), "too slow"),
        (("cost", "calibrate", "mini-2m", "--batches", "1,x"), "write numbers with commas"),
        (("cost", "calibrate", "mini-2n"), "did you mean 'mini-2m'"),
        (("cost", "validate", "nowhere.csv"), "nowhere.csv"),
        (("cost", "fit", "--rows", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(words, complaint, slmkit):
    done = slmkit(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("slmkit: ") and done.stderr.count("\n") == 1
    assert complaint in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def rows(tmp_path):
    """A few published rows of two models as a user's CSV."""
    table = measured()
    kept = table[table["model"].isin(["Llama-3.1-8B", "Mixtral-8x7B"]) & (table["hardware"] == "H100-SXM")].head(40)
    path = tmp_path / "measured.csv"
    kept.to_csv(path, index=False)
    return path


def test_validate_writes_the_error_overall_and_by_regime(rows, tmp_path, slmkit):
    path = tmp_path / "errors.json"
    done = slmkit("cost", "validate", str(rows), "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert {"n", "median_ape", "p90_ape", "bias", "skipped", "regimes"} <= set(found)
    assert 0 < found["median_ape"] < found["p90_ape"] < 2 and {"dense", "moe"} & set(found["regimes"])
    assert found["n"] + sum(found["skipped"].values()) == len(pd.read_csv(rows))
    assert "median_ape" in done.stdout


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (
            lambda table: table.assign(out_tok_s_total=table["out_tok_s_total"].mask(table.index == table.index[2])),
            "row 4",
        ),
        (lambda table: table.drop(columns="hardware"), "no column 'hardware'"),
        (lambda table: table.assign(out_tok_s_total=-1.0), "row 2"),
    ],
)
def test_a_spoilt_csv_names_row_or_column(rows, spoil, complaint, slmkit):
    spoil(pd.read_csv(rows)).to_csv(rows, index=False)
    done = slmkit("cost", "validate", str(rows))
    assert done.returncode == 2 and complaint in done.stderr and done.stderr.count("\n") == 1


def test_fit_needs_something_to_leave_out(rows, slmkit):
    done = slmkit("cost", "fit", "--rows", str(rows))
    assert done.returncode == 2 and "at least two kinds of GPU type" in done.stderr


def test_calibrate_prices_a_mini_and_predicts_it(tmp_path, slmkit):
    path = tmp_path / "here.json"
    done = slmkit("cost", "calibrate", "mini-2m", "--batches", "1,4", "--input-tokens", "64", "--output-tokens", "8",
                  "--usd-per-hour", "0.1", "--json", str(path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert [row["batch"] for row in found] == [1, 4]
    for row in found:
        assert row["ttft_s"] > 0 and row["tpot_s"] > 0 and row["peak_bytes"] > 1e6 and row["usd_per_mtok_out"] > 0
        assert row["predicted_out_tok_s"] > 0 and row["price_source"] == "price given by the user"
    assert "USD 0.1 an hour" in done.stdout
