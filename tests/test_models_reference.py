"""What a model reference means, and the one line that says why it means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmkit import config
from slmkit.errors import InputError
from slmkit.models import parse_reference


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("model", "adapter", "model+more"):
        (tmp_path / name).mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "calls.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_mini(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setattr(config, "resource", lambda relative: here / relative)
    reference = parse_reference("mini-2m")
    assert (reference.kind, reference.path) == ("local", here / "data/mini/mini-2m")


def test_hub_id_and_revision() -> None:
    assert parse_reference("Qwen/Qwen3-1.7B").name == "Qwen/Qwen3-1.7B"
    reference = parse_reference("Qwen/Qwen3-1.7B@main")
    assert (reference.name, reference.revision, reference.path) == ("Qwen/Qwen3-1.7B", "main", None)
    assert parse_reference("Qwen/Qwen3-1.7B", revision="abc").revision == "abc"
    assert parse_reference("Qwen/Qwen3-1.7B@own", revision="abc").revision == "own"


def test_folder_adapter_and_recording(here: Path) -> None:
    assert parse_reference("./model").path == Path("model")
    assert parse_reference(str(here / "model")).path == here / "model"
    assert parse_reference("./model+more").path == Path("model+more")
    both = parse_reference("./model+more+./adapter")
    assert (both.path, both.adapter) == (Path("model+more"), Path("adapter"))
    assert parse_reference("Qwen/Qwen3-1.7B@v1+adapter").adapter == Path("adapter")
    assert parse_reference("replay:calls.jsonl").path == Path("calls.jsonl")


def test_endpoint() -> None:
    reference = parse_reference("openai:org/name@v2@http://localhost:8000/v1/")
    assert (reference.name, reference.base_url) == ("org/name@v2", "http://localhost:8000/v1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mini-3m", "did you mean 'mini-"),
        ("mini2m", "did you mean 'mini-2m'"),
        ("gpt", "hub id (OWNER/NAME)"),
        ("", "hub id (OWNER/NAME)"),
        ("./modle", "did you mean 'model'"),
        ("a/b/c", "does not exist"),
        ("opnai:m@http://x/v1", "did you mean 'openai'"),
        ("openai:m", "openai:NAME@http"),
        ("openai:@http://x", "openai:NAME@http"),
        ("replay:cals.jsonl", "did you mean 'calls.jsonl'"),
        ("replay:", "does not exist"),
        ("./model+./adaptr", "did you mean 'adapter'"),
        ("./model+./model", "no adapter_config.json"),
        ("mini-99m+./adapter", "did you mean"),
    ],
)
def test_nothing_there(here: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_reference(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
