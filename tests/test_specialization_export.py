"""`slmkit export`: the merged folder answers like base and adapter, and its page says how to serve both."""

from __future__ import annotations

import json
import re

import pytest
import specialists
from safetensors.torch import load_file, save_file
from specialists import rows
from typer.testing import CliRunner

from slmkit import cli, files, models
from slmkit.errors import InputError
from slmkit.specialization import export, gates
from slmkit.specialization.finetune import Settings, finetune

QUICK = Settings(steps=6, evaluate_every=3, batch_size=4, rank=4, learning_rate=2e-2, warmup_steps=0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(specialists.base(tmp_path_factory.mktemp("base"), template=specialists.MARKED))


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    return finetune(base, rows(6), rows(2), QUICK, tmp_path_factory.mktemp("run"))


def test_the_merged_folder_answers_alike_and_says_how_to_serve_it(base, tuned, tmp_path):
    out = tmp_path / "alarms"
    done = CliRunner().invoke(cli.app, ["export", str(tuned.adapter), "--out", str(out), "--json", str(tmp_path / "j")])
    assert done.exit_code == 0, done.output
    asked = [(one["messages"][:1], one["tools"]) for one in rows(3)]
    replies = [[models.load(ref).chat(*one, max_tokens=30) for one in asked] for ref in (tuned.reference, str(out))]
    assert [reply.message() for reply in replies[0]] == [reply.message() for reply in replies[1]]
    assert json.loads((tmp_path / "j").read_text())["logit_difference"] < 1e-3
    page = (out / "README.md").read_text(encoding="utf-8")
    assert page in done.output and "$" not in page
    assert f"vllm serve {base} --enable-lora --max-lora-rank 8 --lora-modules alarms={tuned.adapter}" in page
    assert f"convert_lora_to_gguf.py {tuned.adapter} --base {base} --outfile alarms-lora.gguf" in page
    assert f"convert_hf_to_gguf.py {out} --outfile alarms.gguf" in page
    assert re.search(r"llama-server --model base.gguf --lora alarms-lora.gguf .*--jinja --ctx-size 1024", page)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_known_forms_of_calls_name_their_parser(tmp_path):
    template = specialists.MARKED.replace("<|call|>", "<tool_call>")
    base = str(specialists.base(tmp_path / "base", "llama", template=template))
    made = finetune(base, rows(4), rows(1), Settings(steps=2, evaluate_every=1, rank=4, batch_size=4), tmp_path / "run")
    page = (export.export(made.adapter, tmp_path / "out").folder / "README.md").read_text(encoding="utf-8")
    assert page.count("--enable-auto-tool-choice --tool-call-parser hermes") == 2


def test_bad_exports_are_refused_and_leave_nothing(base, tuned, tmp_path):
    with pytest.raises(InputError, match="not an adapter folder"):
        export.export(tuned.adapter.parent, tmp_path / "out")
    with pytest.raises(InputError, match="exists and is not empty"):
        export.export(tuned.adapter, tuned.adapter)
    assert CliRunner().invoke(cli.app, ["export", str(tmp_path), "--out", str(tmp_path / "out")]).exception
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tuned.adapter.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    stored = load_file(broken / "adapter_model.safetensors")
    save_file({name: tensor * float("nan") for name, tensor in stored.items()}, broken / "adapter_model.safetensors")
    done = CliRunner().invoke(cli.app, ["export", str(broken), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1 and "merge: " in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def test_finetune_on_the_command_line(base, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    paths = [str(files.write_jsonl(tmp_path / f"{name}.jsonl", rows(4))) for name in ("train", "validation")]
    words = ["finetune", base, *paths, "--out", str(tmp_path / "run"), "--json", str(tmp_path / "result.json")]
    sets = [part for word in ("steps=2", "evaluate_every=1", "rank=4", "batch_size=4") for part in ("--set", word)]
    done = CliRunner().invoke(cli.app, [*words, *sets])
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["reference"] == f"{base}+{tmp_path / 'run' / 'adapter'}" and result["megabytes"] < 0.1
    assert gates.adapter_active(base, result["reference"], rows(2))["logit_change"] > 0
    files.write_text(tmp_path / "train.jsonl", '{"messages": []}\n' * 3)
    done = CliRunner().invoke(cli.app, words)
    assert isinstance(done.exception, InputError) and "row 0: no target" in str(done.exception)
