"""The command line: bad input is one line and exit status 2; each command has an example; JSON where asked for."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from slmkit import cli

COMMANDS = ["run", "sweep", "record", "evaluate", "score bfcl", "data list", "data pull"]
COMMANDS += ["mini train", "mini threshold", "mini card"]


def slmkit(*words: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, as a user does."""
    env = os.environ | {"TQDM_DISABLE": "1", "WANDB_MODE": "disabled"} | variables
    return subprocess.run([sys.executable, "-c", "from slmkit.cli import main; main()", *words],
                          capture_output=True, text=True, env=env)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert result.exit_code == 0 and "Example: slmkit " + command in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["run", "99"], "unknown notebook '99'"),
        (["run", "01", "-p", "sclae=smoke"], "did you mean 'scale'"),
        (["run", "01", "-p", "scale"], "write it as name=value"),
        (["run", "01", "--scale", "huge"], "unknown scale 'huge'"),
        (["evaluate", "mini-2n", "--suite", "own/seen"], "did you mean 'mini-2m'"),
        (["evaluate", "mini-2m", "--suite", "bfcll"], "did you mean 'bfcl'"),
        (["evaluate", "mini-2m", "--suite", "own/sen"], "did you mean 'seen'"),
        (["evaluate", "./nowhere", "--suite", "own/seen"], "nowhere"),
        (["evaluate", "mini-2m", "--suite", "bfcl", "--data", "/nowhere"], "does not exist"),
        (["score", "bfcl", "none.jsonl", "--data", "/nowhere"], "does not exist"),
        (["record", "nowhere"], "no results.json"),
        (["mini", "card", "mini-2n"], "mini-2n"),
        (["data", "pull", "bfcll"], "did you mean 'bfcl'"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(words, complaint, tmp_path):
    done = slmkit(*words, SLMKIT_CACHE=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("slmkit: ") and done.stderr.count("\n") == 1
    assert complaint in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing half-written"


def test_a_missing_data_set_names_the_command_that_gets_it(tmp_path):
    done = slmkit("evaluate", "mini-2m", "--suite", "bfcl", SLMKIT_DATA="", SLMKIT_CACHE=str(tmp_path))
    assert done.returncode == 2 and "slmkit data pull bfcl" in done.stderr


def test_evaluate_prints_a_table_writes_json_and_resumes(tmp_path):
    words = ["evaluate", "mini-2m", "--suite", "own/seen", "--limit", "4", "--cache", str(tmp_path / "calls"),
             "--json", str(tmp_path / "rows.json"), "--items", str(tmp_path / "items.csv")]  # fmt: skip
    first = slmkit(*words)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert list(row) == ["model", "suite", "category", "constrained", "metric", "n", "n_failed", "estimate", "low",
                         "high", "tokens_per_s"]  # fmt: skip
    assert row["n"] == 4 and row["low"] <= row["estimate"] <= row["high"] and row["metric"] == "exact_match"
    assert "own" in first.stdout and len((tmp_path / "items.csv").read_text().splitlines()) == 5
    again = slmkit(*words)
    (same,) = json.loads((tmp_path / "rows.json").read_text())
    assert again.returncode == 0 and same["estimate"] == row["estimate"] and same["tokens_per_s"] is None


def test_plan_says_what_could_be_detected_and_runs_no_more_than_a_probe(tmp_path):
    done = slmkit("evaluate", "mini-2m", "--suite", "own/seen", "--limit", "30", "--plan", "--cache", str(tmp_path),
                  "--json", str(tmp_path / "plan.json"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "plan.json").read_text())
    assert row["n"] == 30 and row["detectable"] > row["margin"] and row["can_settle"] is False
    calls = (tmp_path / "mini-2m.jsonl").read_text().splitlines()
    assert 0 < len(calls) < 30


@pytest.mark.data
def test_score_verifies_the_official_verdicts(tmp_path):
    data = os.environ["SLMKIT_DATA"]
    done = slmkit("score", "bfcl", f"{data}/bfcl_checker_vectors/vectors.jsonl.gz", "--verify", "--json",
                  str(tmp_path / "verified.json"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "verified.json").read_text())
    assert found["n"] == found["agree"] == 9508 and found["disagree"] == []
