"""Model cards of the mini models: what they are, how they were made, what they score and where they fail.

`python -m slmkit.mini.card mini-2m --run DIR` writes `data/mini/mini-2m/{scores.json,README.md}`. For a model whose
weights are new run `slmkit mini threshold mini-2m` first: the card then tells call / no call by decoding and threshold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from slmkit.config import resource
from slmkit.errors import InputError
from slmkit.files import read_jsonl, sha256, write_json, write_text
from slmkit.mini import catalog, exam, threshold
from slmkit.mini.recipe import SIZES, Recipe
from slmkit.mini.tokenizer import VOCABULARY
from slmkit.models.calling.decision import FILE

HARDWARE = "one server processor core without bfloat16 units, float32"
ARCHITECTURES = {
    "lfm2": "LFM2 (`Lfm2ForCausalLM`), {} layers, short convolution and full attention in turn",
    "llama": "Llama (`LlamaForCausalLM`), {} layers",
}
WHAT = {
    "seen": "hand-written tools of the training set, new values, wordings kept from training",
    "seen_said": "the same tools by wordings of the training set",
    "core_said": "the core tools alone (`core.yaml`), by wordings of the training set",
    "renamed": "`seen` under other names of tools and arguments",
    "renamed_said": "`seen_said` under other names of tools and arguments",
    "core_renamed_said": "`core_said` under other names of tools and arguments",
    "composed": "composed tools of the training set, frames kept from training",
    "procedural": "invented tools that share words with the request",
    "several": "two or three calls wanted at once",
    "held_out_tools": "tools never trained on, of domains that were",
    "smart_home": "a whole domain never trained on",
    "banking": "a whole domain never trained on",
    "car_rental": "a whole domain never trained on",
    "insurance_claims": "a whole domain never trained on",
    "held_out_domain": "the four unseen domains, mixed",
    "no_tool": "no offered tool fits: no call is right; wordings kept from training",
    "no_tool_said": "the same by wordings of the training set",
    "extract": "errand: the fields of a text as JSON",
    "classify": "errand: the right label of two to six",
    "fill": "errand: a sentence with its gaps filled",
    "reason": "errand: a question about a short list",
}


def stage(run: str | Path, hardware: str = HARDWARE) -> dict[str, Any]:
    """One run of `pretrain` by its folder, or `FOLDER@STEP` where the next stage took it up before its end.

    Returns steps, tokens, seconds and recipe; InputError when the folder holds no run.
    """
    import torch

    folder, _, step = str(run).partition("@")
    log, checkpoint = Path(folder) / "log.jsonl", Path(folder) / "checkpoint.pt"
    if not log.is_file() or not checkpoint.is_file():
        raise InputError(f"{folder}: no log.jsonl and checkpoint.pt; name the --out folder of `slmkit mini train`")
    rows = [row for row in read_jsonl(log) if not step or row["step"] <= int(step)]
    recipe = torch.load(checkpoint, weights_only=True)["identity"]["recipe"]
    return {
        "steps": rows[-1]["step"],
        "of_steps": rows[-1]["steps"],
        "tokens": rows[-1]["tokens"],
        "seconds": rows[-1]["seconds"],
        "hardware": hardware,
        "recipe": recipe,
    }


def measure(folder: Path, stages: list[dict[str, Any]], n: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Scores on every evaluation set, free and constrained, and what training took: the form of `scores.json`.

    Where the folder has a threshold, the sets that tell call from no call are answered with it as well.
    """
    scores, shipped = exam.exam(folder, n=n, seed=seed), None
    if (folder / FILE).is_file():
        shipped = json.loads((folder / FILE).read_text(encoding="utf-8"))
        names = sorted({*threshold.PAIRS, *threshold.PAIRS.values()})
        scores += exam.exam(folder, names, n, seed, ["threshold"])
    return {
        "model": folder.name,
        "weights_sha256": sha256(folder / "model.safetensors"),
        "decoding": "greedy",
        "metric": "exact match of name and all arguments",
        "seed": seed,
        "training": stages,
        "call_threshold": shipped,
        "call_or_no_call": threshold.balanced_accuracy(scores),
        "scores": scores,
    }


def text(scores: dict[str, Any]) -> str:
    """The model card as Markdown: `card.md` filled in."""
    size, recipe, stages = SIZES[scores["model"]], Recipe(), scores["training"]
    by_set: dict[str, dict[str, dict]] = {}
    for row in scores["scores"]:
        by_set.setdefault(row["set"], {})[row["decoding"]] = row
    trained = catalog.training_tools(False) + catalog.training_tools(True)
    pattern = resources.files("slmkit.mini").joinpath("card.md").read_text(encoding="utf-8")
    return pattern.format(
        name=scores["model"],
        architecture=ARCHITECTURES[size.architecture].format(size.layers),
        call_or_no_call=threshold.table(scores["call_or_no_call"]),
        threshold=_threshold_text(scores["call_threshold"]),
        hidden=size.hidden,
        heads=size.heads,
        feed_forward=size.feed_forward,
        longest=recipe.longest,
        refusal=catalog.read("language")["refusal"],
        hand=len(catalog.training_tools(False)),
        composed=len(catalog.training_tools(True)),
        domains=len({tool.domain for tool in trained}),
        phrasings=sum(len(tool.phrasings) for tool in catalog.training_tools(False)),
        vocabulary=VOCABULARY,
        held_domains=", ".join(f"`{domain}`" for domain in catalog.held_out_domains()),
        held_tools=len(catalog.held_out_tools()),
        batch_tokens=recipe.batch_tokens,
        prompt=recipe.weights.prompt,
        stages="\n".join(_stage_line(number, row) for number, row in enumerate(stages, 1)),
        tokens=sum(row["tokens"] for row in stages) / 1e6,
        minutes=sum(row["seconds"] for row in stages) / 60,
        scores="\n".join(_score_line(name, rows) for name, rows in by_set.items()),
        called=by_set["seen"]["free"]["made_a_call"],
        **{
            f"{name}_{way}": by_set[name][way]["exact_match"]
            for name in ("held_out_tools", "held_out_domain", "no_tool")
            for way in ("free", "constrained")
        },
    )


def _threshold_text(shipped: dict[str, Any] | None) -> str:
    if shipped is None:
        return "No threshold is shipped."
    split = shipped["validation"]
    sets = ", ".join(f"{n:,} of `{name}`" for name, n in split["sets"].items())
    return (
        f"Shipped in `{FILE}` and in force unless loaded with `call_threshold='off'`: a call is made where the "
        f"{shipped['score']} is {shipped['call_logprob']:.3f} or more. Fitted on {sets} with a seed of their own "
        f"({split['seed']}), none of whose requests is evaluated below (wordings are shared with `seen`, `renamed` and "
        f"`no_tool`, tools of the held-out sets are not): balanced accuracy {split['balanced_accuracy']:.1%}, "
        f"AUROC {split['auroc']:.3f} there."
    )


def _stage_line(number: int, row: dict[str, Any]) -> str:
    recipe, steps = row["recipe"], f"{row['steps']:,} steps"
    if row["steps"] != row["of_steps"]:
        steps += f" of a schedule of {row['of_steps']:,}"
    rates = f"Muon {recipe['muon_lr']:g}, AdamW {recipe['adamw_lr']:g}"
    weights = f"first token {recipe['weights']['first']:g}"
    weights += f", look-ahead {recipe['ahead']:g}" if recipe.get("ahead") else ""
    weights += f", core {recipe['core']:.0%}" if recipe.get("core") else ""
    weights += f"; {row['corpus']}" if "corpus" in row else ""
    amount = f"{row['tokens'] / 1e6:.1f} million tokens, {row['seconds']:,.0f} s on {row['hardware']}"
    return f"* stage {number}: {steps}, {amount}; {rates}; {weights}; easy start {recipe['easy']:.0%}"


def _score_line(name: str, rows: dict[str, dict[str, Any]]) -> str:
    free, bound = rows["free"], rows["constrained"]
    matches = " | ".join(f"**{row['exact_match']:.1%}** [{row['low']:.1%}, {row['high']:.1%}]" for row in (free, bound))
    return (
        f"| `{name}` | {WHAT[name]} | {free['n']} | {matches} | {free['right_name']:.1%} | {free['valid_json']:.1%} |"
    )


def write(
    name: str, runs: Iterable[str | Path], n: int = 1000, hardware: str = HARDWARE, after: Path | None = None
) -> Path:
    """Measure `data/mini/NAME`, trained in `runs`; write its `scores.json` and `README.md`.

    `after` is the `scores.json` of the model that the first of the runs started from: its stages come first.
    """
    folder = resource(f"data/mini/{name}")
    earlier = json.loads(after.read_text(encoding="utf-8"))["training"] if after else []
    scores = measure(folder, [*earlier, *(stage(run, hardware) for run in runs)], n)
    write_json(folder / "scores.json", scores)
    write_text(folder / "README.md", text(scores))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--run", action="append", required=True, help="a run's --out folder; once for each stage")
    parser.add_argument("--after", type=Path, help="scores.json of the model that the first run started from")
    parser.add_argument("--hardware", default=HARDWARE)
    parser.add_argument("--n", type=int, default=1000)
    given = parser.parse_args()
    print(write(given.model, given.run, given.n, given.hardware, given.after))


if __name__ == "__main__":
    main()
