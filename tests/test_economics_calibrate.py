"""Models measured here: seconds, tokens, bytes, money, and the prediction beside them."""

from __future__ import annotations

import pandas as pd
import pytest
from folders import write_model
from servers import FakeOpenAI, unused_port

from slmkit.economics import calibrate
from slmkit.economics.architecture import architecture
from slmkit.economics.throughput import machine
from slmkit.errors import InputError

COLUMNS = {"model", "device", "batch", "ttft_s", "tpot_s", "out_tok_s", "peak_bytes", "usd_per_mtok_in",
           "usd_per_mtok_out", "usd_per_hour", "price_source"}  # fmt: skip


@pytest.fixture(scope="module")
def here() -> machine.Machine:
    """This machine, measured once."""
    return machine.measure(repeats=1)


def test_the_machine_has_plausible_rates(here):
    assert 1e8 < here.bandwidth_bytes_s < 1e13 and 1e8 < here.flop_s < 1e16
    assert 0 <= here.layer_s < 1 and 0 <= here.step_s < 1 and here.rows_half(1) >= 0
    card = here.gpu()
    assert card.bandwidth_bytes_s == here.bandwidth_bytes_s and card.peak("bf16") == here.flop_s


@pytest.fixture(scope="module")
def small(tmp_path_factory, here) -> pd.DataFrame:
    """Two batch sizes of a tiny Llama with random weights."""
    folder = write_model(tmp_path_factory.mktemp("model"), architecture="llama")
    return calibrate.rows(str(folder), (1, 4), 32, 8, usd_per_hour=3.6, price_source="ours", machine=here, repeats=1)


def test_every_batch_is_measured_priced_and_predicted(small):
    assert list(small["batch"]) == [1, 4] and set(small) >= COLUMNS
    numbers = small[["ttft_s", "tpot_s", "out_tok_s", "peak_bytes", "usd_per_mtok_in", "usd_per_mtok_out",
                     "predicted_ttft_s", "predicted_tpot_s", "predicted_out_tok_s"]]  # fmt: skip
    assert (numbers > 0).all().all()
    assert (small["output_tokens"] == 8).all(), "no answer may end early"


def test_money_adds_up_to_the_rent(small):
    # 3.6 USD an hour is a tenth of a cent a second.
    for row in small.itertuples():
        seconds = row.batch * row.output_tokens / row.out_tok_s
        paid = row.batch * (row.input_tokens * row.usd_per_mtok_in + row.output_tokens * row.usd_per_mtok_out) / 1e6
        assert paid == pytest.approx(seconds * 0.001, rel=1e-6)


def test_the_error_is_that_of_the_two_numbers_beside_it(small):
    assert (small["predicted_out_tok_s"] / small["out_tok_s"] - 1).to_numpy() == pytest.approx(
        small["error"].to_numpy()
    )


def test_random_weights_take_the_shape_of_the_catalogue():
    model, arch = calibrate.random_model("SmolLM2-135M", "cpu")
    assert arch == architecture("SmolLM2-135M")
    assert model.num_parameters() == pytest.approx(arch.params, rel=0.01)
    with pytest.raises(InputError, match="only dense shapes"):
        calibrate.random_model("gpt-oss-20b", "cpu")


def test_a_server_is_measured_at_its_concurrency():
    def reply(body: dict) -> list[dict]:
        pieces = [{"choices": [{"index": 0, "delta": {"content": "word "}}]} for _ in range(4)]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}}
        return [*pieces, end, usage]

    with FakeOpenAI("ok", reply=reply) as server:
        table = calibrate.rows(f"openai:m@{server.url}", (1, 3), 30, 4, usd_per_hour=1.0)
    assert list(table["batch"]) == [1, 3] and len(server.bodies) == 4
    assert (table["out_tok_s"] > 0).all() and list(table["input_tokens"]) == [30, 30]
    assert "error" not in table or table["error"].isna().all(), "nothing is predicted for a server"


@pytest.mark.parametrize(
    "ref, options, complaint",
    [
        ("replay:calls.jsonl", {}, "recorded calls have no speed"),
        ("mini-2m", {"batches": (0,)}, "batches: expected sizes of 1 or more"),
        ("mini-2m", {"batches": ()}, "batches"),
        ("mini-2m", {"usd_per_hour": 0.0}, "usd_per_hour: expected an amount above 0"),
        ("mini-2m", {"output_tokens": 1}, "output_tokens"),
        ("mini-2m", {"input_tokens": 100_000}, "exceed its context"),
        ("random:SmolLM2-135", {}, "did you mean 'SmolLM2-135M'"),
        ("mini-2n", {}, "did you mean 'mini-2m'"),
    ],
)
def test_bad_input_is_one_line(ref, options, complaint):
    with pytest.raises(InputError, match=complaint):
        calibrate.rows(ref, **options)


def test_a_server_that_does_not_answer_is_an_input_error():
    with pytest.raises(InputError, match="a request failed at concurrency 1"):
        calibrate.rows(f"openai:m@http://127.0.0.1:{unused_port()}/v1", (1,), 8, 4)
