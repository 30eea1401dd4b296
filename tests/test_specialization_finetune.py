"""Fine-tuning: what is learnt, what is chosen, what a kill or a bad input leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import specialists
import torch
from folders import TEMPLATE
from safetensors.torch import load_file
from specialists import call, row, rows

from slmkit import files, models
from slmkit.errors import InputError
from slmkit.models import loading, parse_reference
from slmkit.specialization import checkpoints, data, fused, launch, peft_config, reward, training, trimmed
from slmkit.specialization.finetune import Settings, finetune, load
from slmkit.specialization.rows import pretraining_rows

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"batch_size": 4, "rank": 4, "learning_rate": 1e-2, "warmup_steps": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(specialists.base(tmp_path_factory.mktemp("base"), template=specialists.MARKED))


@pytest.fixture(scope="module")
def tokenizer(base):
    return loading.load_tokenizer(parse_reference(base), base)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    settings = Settings(**QUICK, steps=60, evaluate_every=20)
    return finetune(base, rows(6), rows(6), settings, tmp_path_factory.mktemp("run"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def test_a_run_learns_its_rows_and_says_what_it_did(base, tuned):
    assert tuned.card["before"]["reward"] <= 1 / 3 < 2 / 3 <= tuned.card["best"]["reward"]  # a third wants no call
    assert tuned.reference == f"{base}+{tuned.adapter}"
    found = reward.rewards(models.load(tuned.reference), rows(6))
    assert sum(found) / 6 == tuned.card["best"]["reward"]
    log = tuned.log
    assert log["step"].tolist() == list(range(1, 61)) and log["reward"].notna().sum() == 3
    assert log["loss"].iloc[-5:].mean() < log["loss"].iloc[:5].mean() - 0.5
    assert log["tokens"].is_monotonic_increasing and log["seconds"].is_monotonic_increasing
    assert tuned.tokens_per_s == pytest.approx(log["tokens"].iloc[-1] / log["seconds"].iloc[-1], rel=0.05)
    assert tuned.peak_memory_bytes > 10_000_000 and tuned.seconds > log["seconds"].iloc[-1]


def test_the_card_names_base_data_splits_and_scores(base, tuned):
    card, page = tuned.card, (tuned.adapter / "README.md").read_text(encoding="utf-8")
    assert card["base_fingerprint"] == loading.fingerprint(parse_reference(base))
    assert len(card["rows"]) == len(card["validation_rows"]) == 6 and len(set(card["rows"])) == 6
    for part in (card["base_fingerprint"], card["data_hash"], card["weights_hash"], "LoRA, rank 4"):
        assert part in page
    named = json.loads((tuned.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert named["base_model_name_or_path"] == base
    assert sorted(path.name for path in tuned.adapter.parent.iterdir()) == ["adapter", "run.json"]


def test_a_finished_run_is_given_back_and_another_one_refused(base, tuned):
    again = finetune(base, rows(6), rows(6), Settings(**QUICK, steps=60, evaluate_every=20), tuned.adapter.parent)
    assert again.card == tuned.card
    with pytest.raises(InputError, match=r"differs in steps \(60, not 61\)"):
        finetune(base, rows(6), rows(6), Settings(**QUICK, steps=61, evaluate_every=20), tuned.adapter.parent)
    with pytest.raises(InputError, match="differs in data_hash"):
        finetune(base, rows(7), rows(6), Settings(**QUICK, steps=60, evaluate_every=20), tuned.adapter.parent)


def test_full_fine_tuning_gives_a_model_folder(base, tmp_path):
    made = finetune(base, rows(6), rows(6), Settings(**QUICK, method="full", steps=8, evaluate_every=4), tmp_path)
    assert made.reference == str(made.adapter) and not (made.adapter / "adapter_config.json").exists()
    before, after = weights(Path(base)), weights(made.adapter)
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("proj.weight"))
    assert models.load(made.reference).chat(rows(1)[0]["messages"][:1], specialists.TOOLS).error is None


def test_the_checkpoint_is_chosen_by_reward_and_not_by_loss(base, tmp_path, monkeypatch):
    scores = iter([(0.0, 9.0), (0.2, 5.0), (0.6, 4.0), (0.4, 1.0), (0.5, 0.5), (0.4, 0.4)])

    def measure(*_):
        found, loss = next(scores)
        return {"reward": found, "loss": loss, "choice": found - training.TIE * loss}

    monkeypatch.setattr(training, "measure", measure)
    made = finetune(base, rows(6), rows(6), Settings(**QUICK, steps=20, evaluate_every=2, patience=3), tmp_path)
    assert made.card["best"] == {"step": 4, "reward": 0.6, "loss": 4.0}
    assert made.card["steps"] == 10 and "no better reward in 3 evaluations" in made.stopped
    assert "Ended early" in (made.adapter / "README.md").read_text(encoding="utf-8")


def test_general_rows_are_mixed_in_as_their_share_says():
    plan = data.plan([50] * 10, 8, 40, seed=0, general=[60] * 30, general_share=0.25)
    drawn = [index for batch in plan for index in batch]
    assert np.mean([index >= 10 for index in drawn]) == pytest.approx(0.25, abs=0.02)
    counts = np.bincount([index for index in drawn if index < 10])
    assert len(counts) == 10 and counts.max() - counts.min() <= 2


def test_a_plan_is_repeatable_and_its_batches_are_of_like_length():
    lengths = list(np.random.default_rng(0).integers(50, 500, 200))
    one, two, other = (data.plan(lengths, 16, 30, seed) for seed in (0, 0, 1))
    assert one == two != other and all(len(batch) == 16 for batch in one)
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in one]
    assert np.median(spread) < 150
    assert {tuple(sorted(batch)) for batch in data.plan([9], 4, 3, 0)} == {(0, 0, 0, 0)}


def test_a_curriculum_starts_with_the_easy_rows():
    plan = data.plan([50] * 100, 10, 40, seed=0, easy_first=list(range(100)))
    assert max(plan[0]) < 30 and max(max(batch) for batch in plan[25:]) > 90


def test_padding_and_the_cut_of_the_vocabulary_leave_the_loss_as_it_is(base, tokenizer):
    model = loading.load_weights(parse_reference(base), base, "cpu", "auto", False)
    encoded = data.encode(tokenizer, rows(5))
    batch = data.collate(encoded, tokenizer.pad_token_id)
    assert batch["input_ids"].shape[1] % data.BUCKET == 0 and batch["labels"].shape[1] % data.ANSWER_BUCKET == 0
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch, logits_to_keep=labels.shape[1]).logits
        together = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        alone, n = 0.0, 0
        for one in encoded:
            logits = model(input_ids=torch.tensor([one.ids])).logits[0, one.start - 1 : -1]
            alone += torch.nn.functional.cross_entropy(logits, torch.tensor(one.answer), reduction="sum").item()
            n += len(one.answer)
    assert together.item() == pytest.approx(alone / n, rel=1e-4)


def test_several_answers_of_a_row_are_learnt_as_each_is_served(tokenizer):
    first, second = rows(2)
    talk = {**first, "messages": [*first["messages"], *second["messages"]], "learn": 2}
    (both,) = data.encode(tokenizer, [talk])
    prompts = [{**talk, "messages": talk["messages"][:size], "learn": 1} for size in (len(first["messages"]), None)]
    singles = data.encode(tokenizer, prompts)
    assert both.ids == singles[1].ids and both.start == singles[0].start
    assert [token for token in both.labels if token != -100] == singles[0].answer + singles[1].answer
    assert data.encode(tokenizer, [{**talk, "learn": 1}])[0].labels == singles[1].answer
    labels = data.collate([both], tokenizer.pad_token_id)["labels"][0]
    assert (labels != -100).sum() == len(singles[0].answer + singles[1].answer)


def test_one_product_a_layer_gives_what_peft_gives(base):
    from peft import get_peft_model

    found = []
    for fusing in (False, True):
        torch.manual_seed(0)
        model = loading.load_weights(parse_reference(base), base, "cpu", "auto", False)
        model = get_peft_model(model, peft_config.lora(model, Settings(rank=4)))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(1))
        assert fused.fuse(model) == 12 if fusing else True
        loss = model(input_ids=torch.arange(5, 35).view(2, 15)).logits.square().mean()
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
        with model.disable_adapter(), torch.no_grad():
            found[-1].append(model(input_ids=torch.arange(5, 35).view(2, 15)).logits)
    assert len(found[0]) == 26
    for plain, one_product in zip(*found, strict=True):
        assert torch.allclose(plain, one_product, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["lfm2", "llama"])
def test_the_last_feed_forward_at_answers_only_changes_no_gradient(tmp_path, architecture):
    folder = str(specialists.base(tmp_path, architecture=architecture))
    found = []
    for trimming in (False, True):
        model = loading.load_weights(parse_reference(folder), folder, "cpu", "auto", False)
        block = trimmed.last_feed_forward(model)
        seen = []
        block.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].shape[1]))
        trim = trimmed.Trim(model)
        inner = next(module for module in block.modules() if isinstance(module, torch.nn.Linear))
        inner.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].shape[1]))
        with trim.only(5 if trimming else 0):
            logits = model(input_ids=torch.arange(5, 45).view(2, 20), logits_to_keep=5).logits
        logits.square().mean().backward()
        assert (5 if trimming else 20) in seen and (20 not in seen[1:]) == trimming
        found.append([logits.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for whole, cut in zip(*found, strict=True):
        assert torch.allclose(whole, cut, rtol=1e-4, atol=1e-8)


def test_rewards_judge_calls_and_refusals():
    from slmkit.records import Reply, ToolCall

    wants = row("Set an alarm for 7", call("set_alarm", hour=7, note="x"))
    swapped = ToolCall(name="set_alarm", arguments='{"note": "x", "hour": 7.0}')
    assert reward.score(wants, Reply(tool_calls=[swapped])).correct
    assert reward.score(wants, Reply(content="no")).error == "missed_call"
    assert reward.score(row("Sing", "I cannot do that."), Reply(content="Sorry")).correct
    assert reward.score(row("Sing", "I cannot do that."), Reply(tool_calls=[swapped])).error == "needless_call"
    assert reward.request(wants).messages == wants["messages"][:1]


COMMAND = [sys.executable, "-m", "slmkit.specialization"]


def write_rows(folder: Path) -> list[str]:
    """Training and validation rows as files."""
    return [str(files.write_jsonl(folder / f"{name}.jsonl", rows(6))) for name in ("train", "validation")]


def options(out: Path, **settings: object) -> list[str]:
    """The rest of the command line."""
    words = [f"{name}={value}" for name, value in {**QUICK, **settings}.items()]
    return ["--out", str(out), *(part for word in words for part in ("--set", word))]


ENVIRONMENT = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_a_killed_run_resumes_to_the_same_result(base, tmp_path):
    settings = {"steps": 30, "evaluate_every": 5, "general_share": 0.25}
    typed = Settings(**QUICK, **settings)
    general = {"general_rows": rows(20)}
    whole = finetune(base, rows(6), rows(6), typed, tmp_path / "whole", **general)
    script = (
        "import json, sys, time; from pathlib import Path\n"
        "from slmkit.specialization import finetune as f, training\n"
        "measure, calls = training.measure, []\n"
        "def slow(*given):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4: Path(sys.argv[3], 'now').touch(); time.sleep(60)\n"
        "    return measure(*given)\n"
        "training.measure = slow\n"
        "rows, general = (json.loads(text) for text in sys.argv[4:6])\n"
        "settings = f.Settings(**json.loads(sys.argv[2]))\n"
        "f.finetune(sys.argv[1], rows, rows, settings, sys.argv[3], general_rows=general)\n"
    )
    words = [base, json.dumps(typed.record()), str(tmp_path / "cut"), json.dumps(rows(6)), json.dumps(rows(20))]
    process = subprocess.Popen([sys.executable, "-c", script, *words], env=ENVIRONMENT)
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "now").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "adapter").exists()
    half = tmp_path / "cut" / "checkpoints" / "checkpoint-15"  # as a kill within its writing leaves it
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_step": 15', encoding="utf-8")
    assert checkpoints.last_whole(tmp_path / "cut" / "checkpoints").name == "checkpoint-10"
    resumed = finetune(base, rows(6), rows(6), typed, tmp_path / "cut", **general)
    one, two = weights(whole.adapter), weights(resumed.adapter)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert resumed.log["loss"].tolist() == whole.log["loss"].tolist()
    assert resumed.card["best"] == whole.card["best"] and resumed.card["tokens"] == whole.card["tokens"]


def test_two_processes_train_as_one(base, tmp_path):
    settings = {"steps": 6, "evaluate_every": 3}
    alone = finetune(base, rows(6), rows(6), Settings(**QUICK, **settings), tmp_path / "one")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    words = ["-m", "slmkit.specialization", base, *write_rows(tmp_path), *options(tmp_path / "two", **settings)]
    done = subprocess.run([*launcher, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == f"{base}+{tmp_path / 'two' / 'adapter'}"
    shared = load(tmp_path / "two" / "adapter")
    assert shared.card["tokens"] == alone.card["tokens"]
    one, two = weights(alone.adapter), weights(shared.adapter)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 2e-3


def test_a_loss_that_is_no_number_stops_the_run_and_the_last_good_checkpoint_stays(base, tmp_path, monkeypatch):
    steps = []

    def collate(chosen, pad, original=data.collate):
        steps.append(len(chosen) == 4)
        return original(chosen, pad)

    entropy = torch.nn.functional.cross_entropy

    def broken(logits, *given, **kept):
        loss = entropy(logits, *given, **kept)
        return loss * float("nan") if loss.requires_grad and sum(steps) > 7 else loss

    monkeypatch.setattr(training, "collate", collate)
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", broken)
    settings = Settings(**QUICK, steps=20, evaluate_every=3)
    made = finetune(base, rows(6), rows(2), settings, tmp_path / "late")
    assert re.match(r"step [4-9]: the loss is not a number; lower learning_rate", made.stopped)
    assert made.card["best"]["step"] in (3, 6) and all(
        weight.isfinite().all() for weight in weights(made.adapter).values()
    )
    steps[:] = [True] * 9
    with pytest.raises(InputError, match=r"step 1: the loss is not a number; lower learning_rate.*no checkpoint"):
        finetune(base, rows(6), rows(2), settings, tmp_path / "soon")
    assert not (tmp_path / "soon" / "adapter").exists()


def broken_call(name: str, arguments: object) -> dict:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


@pytest.mark.parametrize(
    "bad, complaint",
    [
        ({"messages": [{"role": "user", "content": "hi"}], "tools": []}, "row 1: no target"),
        (row("hi", ""), "row 1: no target"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "row 1: nothing is asked"),
        (row("x", call("set_alarn", hour=1)), "row 1: calls 'set_alarn', which is not among its tools"),
        (row("x", call("set_alarm", hour="one")), "row 1: the call of set_alarm does not match its tool: hour"),
        (row("x", call("set_alarm")), "row 1: the call of set_alarm does not match its tool: .*'hour' is a required"),
        (
            row("x", broken_call("set_alarm", {"hour": 1})),
            "row 1: arguments of set_alarm are a dict; give them as JSON",
        ),
        (row("x", broken_call("set_alarm", '{"hour":')), "row 1: arguments of set_alarm are not JSON"),
        (row("x", broken_call("set_alarm", "[1]")), "row 1: arguments of set_alarm are a JSON list"),
        (row("x", "no", [{"function": {}}]), r"row 1: tools\[0\] has no name"),
        ({**row("x", "no"), "learn": 2}, "row 1: learn is 2, the assistant speaks 1 times; lower it"),
        ({**row("x", "no"), "learn": "all"}, "row 1: learn is 'all'; give the number of answers"),
    ],
)
def test_a_bad_row_is_named(bad, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        data.check([rows(1)[0], bad], "training rows")
    assert "\n" not in str(error.value) and str(error.value).startswith("training rows, ")


def test_bad_runs_are_refused_in_one_line(base, tokenizer, tmp_path):
    def run(settings=None, ref=base, some=None, held_out=None, **kept):
        return finetune(
            ref, some or rows(4), rows(1) if held_out is None else held_out, settings, tmp_path / "x", **kept
        )

    with pytest.raises(InputError, match="4 rows to train on and 0 to validate"):
        run(held_out=[])
    with pytest.raises(InputError, match=r"rank 64 is above the size of a layer: .* is \d+ x \d+; lower the rank"):
        run(Settings(rank=64, steps=1))
    with pytest.raises(InputError, match=r"the base has none of them; it has .*q_proj"):
        finetune(base, rows(4), rows(1), Settings(target_modules="qproj", steps=1), tmp_path / "targets")
    with pytest.raises(InputError, match="more than longest=20; shorten it or raise"):
        finetune(base, rows(4), rows(1), Settings(longest=20, steps=1), tmp_path / "long")
    with pytest.raises(InputError, match="only a model in process"):
        run(ref="openai:m@http://localhost:1/v1")
    assert not list(tmp_path.rglob("adapter"))
    plain = specialists.base(tmp_path / "plain", template=None)
    with pytest.raises(InputError, match="no chat template"):
        finetune(str(plain), rows(4), rows(1), Settings(steps=1), tmp_path / "no-template")
    odd = TEMPLATE.replace("<|assistant|>{% endif %}", "<|assistant|><think>{% endif %}")
    thinking = specialists.base(tmp_path / "odd", template=odd)
    with pytest.raises(InputError, match="no generation marks and renders a prompt otherwise"):
        finetune(str(thinking), rows(4), rows(1), Settings(steps=1), tmp_path / "no-marks")


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"method": "lara"}, "did you mean 'lora'"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"general_share": 1.0}, "general_share must lie in"),
        ({"learning_rate": float("nan")}, "learning_rate must not be negative"),
        ({"patience": -1}, "patience must not be negative"),
        ({"order": "sorted"}, "unknown order"),
        ({"method": "full", "load_in_4bit": True}, "trains an adapter only"),
    ],
)
def test_bad_settings_are_named(change, complaint):
    with pytest.raises(InputError, match=complaint):
        Settings(**change)


def test_the_rate_falls_with_the_size_of_the_base():
    rates = [Settings().rate(int(n)) for n in (1e6, 135e6, 1e9, 8e9)]
    assert rates == pytest.approx([0.012, 6.65e-4, 2e-4, 2e-4], rel=1e-3)
    assert Settings(method="full").rate(10**9) == pytest.approx(5e-5) and Settings(learning_rate=0.5).rate(10**9) == 0.5


def test_settings_from_the_command_line():
    made = launch.changed_settings(
        ["rank=8", "learning_rate=1e-3", "target_modules=q_proj,v_proj", "load_in_4bit=False"]
    )
    assert (made.rank, made.learning_rate, made.target_modules) == (8, 1e-3, ("q_proj", "v_proj"))
    for wrong, complaint in (("rnak=8", "did you mean 'rank'"), ("rank=big", "not a number"), ("rank", "NAME=VALUE")):
        with pytest.raises(InputError, match=complaint):
            launch.changed_settings([wrong])


def test_memory_that_does_not_suffice_says_what_to_lower(base, tmp_path, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", full)
    monkeypatch.setattr(training, "measure", lambda *_: {"reward": 0.0, "loss": 1.0, "choice": 0.0})
    with pytest.raises(InputError, match=r"out of memory with batches of 4 rows of up to \d+ tokens; lower batch_size"):
        finetune(base, rows(4), rows(1), Settings(**QUICK, steps=1), tmp_path)


def test_the_run_is_tracked_with_curves_and_adapter(base, tmp_path):
    class Kept:
        def __init__(self):
            self.logged, self.summed, self.sent, self.run = [], {}, [], self
            self.log, self.summary = self.logged.append, self.summed.update

        def artifact(self, name, kind, path):
            self.sent.append((kind, sorted(part.name for part in path.iterdir())))

    kept = Kept()
    settings = Settings(**QUICK, steps=4, evaluate_every=2)
    finetune(base, rows(4), rows(2), settings, tmp_path, tracker=kept)
    assert [entry["finetune/step"] for entry in kept.logged if "finetune/loss" in entry] == [1, 2, 3, 4]
    assert [entry["finetune/step"] for entry in kept.logged if "finetune/eval_reward" in entry] == [2, 4]
    assert kept.summed["finetune/steps"] == 4 and "finetune/best_reward" in kept.summed
    assert kept.sent == [
        ("adapter", ["README.md", "adapter_config.json", "adapter_model.safetensors", "card.json", "log.csv"])
    ]


def test_general_rows_are_good_rows_of_trained_tools():
    from slmkit.mini import catalog

    held = {tool.name for name in catalog.held_out_domains() for tool in catalog.domain(name)}
    made = list(pretraining_rows(60, seed=5))
    data.check(made)
    assert made == list(pretraining_rows(60, seed=5)) != list(pretraining_rows(60, seed=6))
    assert not held & {tool["function"]["name"] for one in made for tool in one["tools"]}
    assert 0.1 < np.mean([not reward.wanted(one) for one in made]) < 0.6


def test_a_template_that_refuses_system_turns_is_met_as_in_serving(tmp_path):
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    folder = str(specialists.base(tmp_path / "a", template=refusing + specialists.MARKED.lstrip()))
    model = models.load(folder)
    one = row("Set an alarm for 7", call("set_alarm", hour=7))
    one["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert data.prompt(model.tokenizer, one) == model.render(one["messages"][:-1], one["tools"])
    assert "Be brief.\n\nSet an alarm" in data.text(model.tokenizer, one)
    model.tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(InputError, match="chat template refuses the row"):
        data.encode(model.tokenizer, [one])


@pytest.mark.full  # a process of its own, whose imports take most of its time
def test_a_run_says_nothing_but_its_bar(base, tmp_path):
    given = write_rows(tmp_path)
    environment = {**ENVIRONMENT, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "TQDM_DISABLE": "1"}
    words = [*COMMAND, base, *given, *options(tmp_path / "run", steps=2, evaluate_every=1)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{base}+{tmp_path / 'run' / 'adapter'}" and done.stderr.strip() == ""
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
