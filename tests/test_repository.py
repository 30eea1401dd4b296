"""The repository holds what is ours, small, and tied to no machine."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 4
THIRD_PARTY = re.compile(
    r"(^|/)(bfcl\w*|acebench|tau2?_bench|sgd|seal_tools|when2call|api_bank|nestful|toolalpaca|fireact|routellm)"
    r"/.*\.(jsonl?|gz|csv)$"
)
MACHINE_PATH = re.compile(r"(?<![\w.:/{}$-])/(?:home|Users|root|work|opt|mnt|srv|tmp)/\w|\b[A-Z]:\\+Users\\")
INVENTED_FILE = re.compile(r"/(?:home|srv|tmp)/\w+\.\w+\b")  # as users of the agent's world name their documents


def tracked() -> list[Path]:
    """Files that are in git, or would be after `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """The files of the repository; a copy without git has nothing to look at."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return tracked()


def text_of(path: Path) -> str | None:
    """A file as text, unpacked if need be; None for a binary one."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8")
    except (UnicodeDecodeError, gzip.BadGzipFile):
        return None


def test_only_mini_weights_are_large(files):
    large = [path for path in files if path.stat().st_size > MEGABYTES * 2**20]
    weights = [path for path in large if path.suffix == ".safetensors" and path.is_relative_to(ROOT / "data/mini")]
    assert sorted(set(large) - set(weights)) == []


def test_no_path_of_a_machine(files):
    found = []
    for path in set(files) - {Path(__file__)}:
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            if path.is_relative_to(ROOT / "data/results/04_heterogeneous_agent"):
                line = INVENTED_FILE.sub("", line)
            if match := MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line[match.start() :][:60]}")
    assert sorted(found) == []


@pytest.mark.parametrize(
    "text, hit",
    [
        ("open('/home/ann/x')", True),
        ("path=/mnt/disk/x", True),
        (r"C:\Users\ann", True),
        ("https://host/home/ann", False),
        ("a/tmp/b and ./opt/x", False),
        ("${HOME}/work/x", False),
    ],
)
def test_machine_paths_are_told_from_others(text, hit):
    assert bool(MACHINE_PATH.search(text)) is hit


def test_no_third_party_data_by_name(files):
    assert [str(path) for path in files if THIRD_PARTY.search(str(path.relative_to(ROOT)))] == []


def records(path: Path) -> set[str]:
    """The long lines of a JSON file: short ones may be the same by chance."""
    return {line.strip().rstrip(",") for line in (text_of(path) or "").splitlines() if len(line) > 120}


@pytest.mark.data
def test_no_third_party_data_by_content(files):
    folder = Path(os.environ["SLMKIT_DATA"])
    assert folder.is_dir(), f"SLMKIT_DATA: no folder {folder}"
    suffixes = {".json", ".jsonl", ".gz"}
    theirs = set().union(*(records(path) for path in folder.rglob("*") if path.suffix in suffixes))
    assert len(theirs) > 1_000
    ours = [path for path in files if path.suffix in suffixes]
    assert [str(path.relative_to(ROOT)) for path in ours if records(path) & theirs] == []
