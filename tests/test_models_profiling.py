"""Where the time goes: the parts make up the whole, and the counts are those of the replies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from folders import write_model
from test_models_prefix import asked

from slmkit import models
from slmkit.models.local import LocalModel
from slmkit.models.profiling import PARTS, bandwidth, profile


@pytest.fixture(scope="module", params=["lfm2", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return models.load(str(write_model(tmp_path_factory.mktemp("model"), request.param)), device="cpu", dtype="float32")


@pytest.mark.parametrize("constrained", [False, True])
def test_the_parts_make_up_the_whole(model: LocalModel, constrained: bool) -> None:
    requests = asked(12, shared=False)
    table = profile(model, requests, max_tokens=20, constrained=constrained)
    assert list(table.index) == [*PARTS, "total"]
    parts, total = table.drop("total"), table.loc["total"]
    assert parts["seconds"].sum() == pytest.approx(total["seconds"]) and (parts["seconds"] >= 0).all()
    assert parts["share"].sum() == pytest.approx(1)
    assert parts.loc[["prompt", "prefill", "decode", "reply", "rest"], "seconds"].min() > 0
    assert bool(table.loc["constraint", "seconds"]) == constrained
    replies = model.chat_many(requests, max_tokens=20, constrained=constrained, progress=False)
    assert table.loc["prefill", "tokens"] == sum(reply.usage.prompt for reply in replies)
    assert table.loc["reply", "tokens"] == sum(reply.usage.completion for reply in replies)
    assert table.loc["decode", "passes"] < 20 and table.loc["prefill", "passes"] == 1
    assert table.loc["decode", "tokens"] >= table.loc["reply", "tokens"] - len(requests)


def test_the_bounds_are_those_of_the_counts(model: LocalModel) -> None:
    table = profile(model, asked(6, shared=False), max_tokens=10)
    weights = sum(weight.nbytes for weight in model.model.parameters())
    read = table["bandwidth_s"] * table.attrs["gb_per_s"] * 1e9
    assert read["decode"] > weights * table.loc["decode", "passes"]
    assert read["decode"] < 20 * weights * table.loc["decode", "passes"]
    operations = table.loc["prefill", "compute_s"] * table.attrs["gflop_per_s"] * 1e9
    count = sum(weight.numel() for weight in model.model.parameters())  # the table of embeddings is the head as well
    assert operations < 2 * count * table.loc["prefill", "tokens"]
    assert 0 < table.loc["prefill", "reached"] < 1 and 0 < table.loc["decode", "reached"] < 1
    assert table.loc[["prompt", "reply", "rest"], "reached"].isna().all()


def test_what_is_shared_is_not_run_over(model: LocalModel) -> None:
    requests = asked(12, shared=True)
    table = profile(model, requests, max_tokens=4)
    replies = models.load(model.ref, device="cpu").chat_many(requests, max_tokens=4, progress=False)
    assert table.loc["prefill", "passes"] == 2  # once over what is shared
    assert table.loc["prefill", "tokens"] < 0.6 * sum(reply.usage.prompt for reply in replies)


def test_the_model_is_left_as_it_was(model: LocalModel) -> None:
    requests = asked(4, shared=False)
    before = [reply.content for reply in model.chat_many(requests, max_tokens=5, constrained=True)]
    profile(model, requests, max_tokens=5, constrained=True)
    assert not {"_prompt", "_reply"} & set(vars(model)) and "constrain" not in vars(model.grammar)
    assert not model.model._forward_hooks and not model.model._forward_pre_hooks
    assert [reply.content for reply in model.chat_many(requests, max_tokens=5, constrained=True)] == before


def test_bandwidth_is_of_this_world() -> None:
    assert 0.5 < bandwidth(8_000_000, torch.device("cpu")) < 5_000


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    table = profile(models.load(str(write_model(tmp_path)), device="cpu"), asked(1, shared=False), max_tokens=2)
    assert table.loc["total", "seconds"] > 0
