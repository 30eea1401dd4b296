"""Committed results: only evidence is recorded, and the README says what the files say."""

import json

import pytest

from slmkit import config, results
from slmkit.errors import InputError


@pytest.fixture
def made(tmp_path):
    """A run folder with one notebook's results, and a function that changes them."""
    folder = tmp_path / "run" / "full"
    (folder / "01_capability" / "calls").mkdir(parents=True)
    for name in ("figure-tasks.svg", "figure-tasks.csv", "items.csv.gz", "calls/mini-2m.jsonl"):
        (folder / "01_capability" / name).write_bytes(b"x")

    def write(scale="full", source="live", dirty=False):
        content = {"scale": scale, "source": source, "provenance": {"git": {"commit": "c", "dirty": dirty}}}
        (folder / "01_capability" / "results.json").write_text(json.dumps(content))
        return folder

    return write


def test_results_replace_what_was_recorded_before(made, tmp_path):
    into = tmp_path / "results"
    (into / "01_capability").mkdir(parents=True)
    (into / "01_capability" / "figure-old.svg").touch()
    results.record(made(), into)
    kept = sorted(path.name for path in (into / "01_capability").iterdir())
    assert kept == ["figure-tasks.csv", "figure-tasks.svg", "items.csv.gz", "results.json"]


@pytest.mark.parametrize(
    "state, complaint",
    [({"scale": "smoke"}, "no evidence"), ({"source": "recorded"}, "drawn from recorded"), ({"dirty": True}, "commit")],
)
def test_what_cannot_be_repeated_is_not_recorded(made, tmp_path, state, complaint):
    with pytest.raises(InputError, match=complaint):
        results.record(made(**state), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no results"):
        results.record(tmp_path)


def test_a_readme_without_its_marks_is_refused():
    with pytest.raises(InputError, match="marks"):
        results.readme("# slmkit")


def test_the_readme_says_what_the_committed_results_say():
    text = (config.root() / "README.md").read_text(encoding="utf-8")
    assert text == results.readme(text), "run `slmkit record` on the run to be shown"


def test_the_readme_points_at_files_that_exist():
    import re

    root = config.root()
    text = (root / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)|<img src=\"([^\":]+)\"", text)
    missing = [t for pair in targets for t in pair if t and not (root / t).exists()]
    assert not missing


def test_committed_results_are_evidence():
    recorded = results.recorded()
    assert "01_capability" in recorded
    for found in recorded.values():
        assert config.scale(found["scale"]).evidence and found["source"] == "live"
        assert found["provenance"]["git"]["dirty"] is False
