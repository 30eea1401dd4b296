"""Rivals of supervised fine-tuning: what they train on, and that they train."""

from __future__ import annotations

import json

import pytest
import specialists
import torch
from safetensors.torch import load_file
from specialists import TOOLS, call, row, rows

from slmkit import models
from slmkit.errors import InputError
from slmkit.models.base import Model
from slmkit.records import Reply, ToolCall
from slmkit.specialization.finetune import Settings, finetune
from slmkit.specialization.methods.distillation import distilled
from slmkit.specialization.methods.mixture import multi_task
from slmkit.specialization.methods.preference import Preference, mistakes, prefer

QUICK = {"batch_size": 4, "rank": 4, "warmup_steps": 2}


class Scripted(Model):
    """A model that gives the replies of a script, in the order asked."""

    ref, fingerprint = "scripted", ""

    def __init__(self, *script: Reply):
        self.script, self.notes, self.asked = list(script), {}, []

    def answer(self, requests, sampling):
        for index in range(len(requests)):
            self.asked.append(sampling)
            yield index, self.script.pop(0)


def calls(name: str, **arguments: object) -> Reply:
    return Reply(tool_calls=[ToolCall(name=name, arguments=json.dumps(arguments))], logprob=-1.0)


def test_distilled_rows_are_the_teachers_sound_answers():
    asked = [row(f"Alarm at {hour}", call("set_alarm", hour=hour)) for hour in range(6)]
    replies = [
        calls("set_alarm", hour=0),
        calls("set_alarm", hour=9),  # wrong, but a call that its schema allows
        calls("set_alarm", hour="two"),
        calls("wake", hour=3),
        Reply(content="I cannot do that."),
        Reply(malformed=["set_alarm<|call|>{"]),
    ]
    taught = distilled(asked, Scripted(*replies), progress=False)
    assert [one["messages"][-1] for one in taught.rows] == [
        replies[0].message(),
        replies[1].message(),
        replies[4].message(),
    ]
    assert (taught.n, taught.invalid) == (6, 3) and taught.agreement == pytest.approx(1 / 6)
    assert taught.rows[0]["messages"][:-1] == asked[0]["messages"][:-1] and taught.rows[0]["tools"] == TOOLS
    checked = [calls("set_alarm", hour=0), calls("set_alarm", hour=1), *replies[2:]]
    assert len(distilled(asked, Scripted(*checked), verified=True).rows) == 2
    with pytest.raises(InputError, match="scripted: 1 of 6 answers can be learnt"):
        distilled(asked, Scripted(*replies), verified=True)


def test_mistakes_are_the_most_probable_wrong_answers():
    asked = [
        row("Alarm at 1", call("set_alarm", hour=1)),
        row("Alarm at 2", call("set_alarm", hour=2)),
        row("Sing", "No."),
    ]
    likely = calls("set_alarm", hour=8).model_copy(update={"logprob": -0.1})
    model = Scripted(
        calls("set_alarm", hour=7), calls("set_alarm", hour=2), calls("set_alarm", hour=3),
        likely, calls("set_alarm", hour=2), Reply(content="No."),
    )  # fmt: skip
    found = mistakes(model, asked, Preference(samples=2))
    assert [place for place, _ in found] == [0, 2]
    assert found[0][1]["messages"][-1] == likely.message()
    assert [sampling.temperature for sampling in model.asked] == [0.0] * 3 + [1.0] * 3


def test_several_tasks_share_the_rows_evenly():
    tasks = {"alarms": rows(10), "weather": rows(8), "tables": rows(9)}
    mixed = multi_task(tasks, 12, seed=1)
    assert sorted(one["task"] for one in mixed) == sorted(["alarms", "weather", "tables"] * 4)
    assert mixed == multi_task(tasks, 12, seed=1) != multi_task(tasks, 12, seed=2)
    assert len(multi_task(tasks)) == 24
    with pytest.raises(InputError, match="weather has 8 rows, 9 are wanted"):
        multi_task(tasks, 27)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(specialists.base(tmp_path_factory.mktemp("base"), template=specialists.MARKED))


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    settings = Settings(**QUICK, learning_rate=1e-2, steps=30, evaluate_every=15)
    return finetune(base, rows(6), rows(6), settings, tmp_path_factory.mktemp("run"))


def chance(ref: str, one: dict) -> float:
    """Log-probability of a row's answer, in nats."""
    from slmkit.specialization import data
    from slmkit.specialization.gates import answer_logits

    loaded = models.load(ref)
    (logits,) = answer_logits((loaded.model, loaded.tokenizer), [one])
    wanted = torch.tensor(data.encode(loaded.tokenizer, [one])[0].answer)
    return float(logits.log_softmax(-1).gather(1, wanted[:, None]).sum())


def test_preferences_move_an_adapter_from_its_mistakes_to_the_right_answers(base, tuned, tmp_path):
    found = mistakes(models.load(tuned.reference), rows(12), Preference())
    settings = Settings(**QUICK, learning_rate=3e-3, steps=10, evaluate_every=10)
    better = prefer(tuned, rows(12), rows(6), settings, tmp_path)
    assert better.card["n_pairs"] == len(found) >= 4
    assert better.reference == f"{base}+{better.adapter}" and better.card["start"] == tuned.card["weights_hash"]
    assert better.card["before"]["loss"] == pytest.approx(tuned.card["best"]["loss"], rel=1e-3)
    assert better.log["loss"].iloc[-3:].mean() < better.log["loss"].iloc[:3].mean()
    margins = []
    for ref in (tuned.reference, better.reference):
        margins.append(sum(chance(ref, rows(12)[place]) - chance(ref, wrong) for place, wrong in found))
    assert margins[1] > margins[0] + len(found)  # a nat each
    one, two = (load_file(run.adapter / "adapter_model.safetensors") for run in (tuned, better))
    assert one.keys() == two.keys()
    assert prefer(tuned, rows(12), rows(6), settings, tmp_path).card == better.card


def test_bad_preferences_are_refused(base, tuned, tmp_path, monkeypatch):
    settings = Settings(**QUICK, learning_rate=1e-3, steps=2)
    with pytest.raises(InputError, match="even one, two rows a pair"):
        prefer(tuned, rows(4), rows(2), Settings(batch_size=3), tmp_path / "odd")
    with pytest.raises(InputError, match="goes on from a LoRA adapter"):
        prefer(tuned, rows(4), rows(2), Settings(method="full"), tmp_path / "full")
    monkeypatch.setattr("slmkit.specialization.methods.preference.mistakes", lambda *_: [])
    with pytest.raises(InputError, match="0 mistakes in 4 rows"):
        prefer(tuned, rows(4), rows(2), settings, tmp_path / "none")
