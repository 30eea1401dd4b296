"""How original files become a data set: which sources feed which file, in which form; what has no source."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from slmkit.downloads import convert
from slmkit.downloads.registry import Source
from slmkit.errors import InputError
from slmkit.files import write_text


@dataclass(frozen=True)
class Rule:
    """Sources whose path matches `pattern` become, in order of path, the file that `target` expands to."""

    pattern: str
    target: str
    form: convert.Convert = convert.verbatim

    def targets(self, sources: Iterable[Source]) -> dict[str, list[Source]]:
        """Files to write, relative to the data set's folder, each with the sources that feed it."""
        found: dict[str, list[Source]] = {}
        for source in sorted(sources, key=lambda each: each.path):
            if match := re.fullmatch(self.pattern, source.path):
                # A colon, as in the model name qwen2.5:7b, is no file name on every system.
                found.setdefault(match.expand(self.target).replace(":", "-"), []).append(source)
        return found


@dataclass(frozen=True)
class Layout:
    """The rules of one data set, and the files (glob -> reason) that loaders know but no source publishes."""

    rules: tuple[Rule, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)

    def missing_line(self) -> str:
        """What is missing and why, reason by reason."""
        named: dict[str, list[str]] = {}
        for glob, reason in self.missing.items():
            named.setdefault(reason, []).append(glob)
        return "; ".join(f"{', '.join(globs)}: {reason}" for reason, globs in named.items())


def _tau2() -> tuple[Rule, ...]:
    """A results file of tau2-bench holds info, tasks and simulations, which are laid out apart."""
    # Where no user was simulated, the domain's name says so.
    modes = {"default": r"\1.\2", "(no-user)": r"\1.\2-\3"}
    return tuple(
        Rule(rf"data/exp/.+/([^/_]+)_([a-z]+)_{mode}_[^/]+\.json", f"{stem}.{part}", form)
        for mode, stem in modes.items()
        for part, form in (
            ("info.json", convert.member("info")),
            ("tasks.jsonl.gz", convert.members("tasks")),
            ("simulations.jsonl.gz", convert.members("simulations")),
        )
    )


_BFCL = r"berkeley-function-call-leaderboard/bfcl_eval/data/"
_SEAL = r"Seal-Tools_Dataset/(?:dev|test_\w+|tool)\.jsonl"

LAYOUTS = {
    "bfcl": Layout(
        (
            Rule(_BFCL + r"(BFCL_v4_live_(?:irrelevance|multiple)\.json)", r"\1.gz"),
            Rule(_BFCL + r"(BFCL_v4_(?!live_irr|live_multiple|format|memory|web_search)\w+\.json)", r"\1"),
            Rule(_BFCL + r"(possible_answer/BFCL_v4_(?!memory|web_search)\w+\.json)", r"\1"),
            Rule(_BFCL + r"(multi_turn_func_doc/(?!memory|web_search)\w+\.json)", r"\1"),
        )
    ),
    "bfcl_checker_vectors": Layout(
        missing={"vectors.jsonl.gz": "verdicts computed with bfcl-eval, which no source publishes"}
    ),
    "acebench": Layout((Rule(r"data_all/(data_en/.+\.json)", r"\1"),)),
    "when2call": Layout((Rule(r"data/test/(when2call_test_llm_judge\.jsonl)", r"\1"),)),
    "api_bank": Layout(
        (
            Rule(r"api-bank/lv1-lv2-samples/.+\.jsonl", "dialogues.jsonl", convert.dialogues),
            Rule(r"api-bank/data/(all_apis\.csv)", r"\1"),
        ),
        {"SearchEngine-level-1-1": "an empty file of the source, which is not in the registry"},
    ),
    "nestful": Layout(
        (Rule(r"data/[\w-]+/(?:non-executable-)?(\w+)-(data|spec)\.json", r"\1-\2.jsonl", convert.elements),)
    ),
    "toolalpaca": Layout((Rule(r"data/(eval_\w+)\.json", r"\1.jsonl", convert.elements),)),
    "seal_tools": Layout(
        (
            Rule(r"Seal-Tools_Dataset/(dev|test_\w+)\.jsonl", r"\1.jsonl"),
            Rule(_SEAL, "tool.jsonl.gz", convert.tools(used=True)),
            Rule(_SEAL, "tool_distractors.jsonl.gz", convert.tools(used=False)),
        )
    ),
    "sgd": Layout(
        (
            Rule(r"train/dialogues_\d+\.json", "train.jsonl.gz", convert.elements),
            Rule(r"dev/dialogues_\d+\.json", "validation.jsonl.gz", convert.elements),
            Rule(r"test/dialogues_\d+\.json", "test.jsonl.gz", convert.elements),
            Rule(r"(?:train|dev|test)/schema\.json", "schema.jsonl", convert.services),
        ),
        {"44 of 181 dialogue files": "the registry has the other 137"},
    ),
    "tau_bench": Layout(
        (Rule(r"historical_trajectories/([\w-]+)\.json", r"\1.jsonl.gz", convert.elements),),
        {"tools.airline.json": "the source has its tool descriptions in Python modules, not in data"},
    ),
    "tau2_bench": Layout(
        _tau2(),
        {
            "*gpt-4.1.airline.*": "not in the registry",
            "*gpt-4.1.retail.*": "not in the registry",
            "qwen2.5-7b.airline.*": "not in the registry",
            "toolorchestra.*": "not in the registry",
            "sft-v1-small.*": "not in the registry",
            "tools.*.json": "not in the registry",
            "format_sample.*": "not in the registry",
        },
    ),
    "bfcl_v1_outcomes": Layout((Rule(r"2024-08-11/score/[^/]+/\w+_score\.json", "outcomes.csv.gz", convert.outcomes),)),
    "routellm": Layout(
        (
            Rule(r"routellm/evals/mmlu/responses/(mmlu_\w+)\.csv", r"\1.csv.gz", convert.routed),
            Rule(r"routellm/evals/gsm8k/(gsm8k)_responses\.csv", r"\1.csv.gz", convert.routed),
        )
    ),
    "fireact": Layout((Rule(r"data/finetune/gpt_format/(hotpotqa|multitask)\.jsonl", r"\1.jsonl.gz"),)),
}


def wanted(name: str, sources: list[Source]) -> list[Source]:
    """Sources of data set `name` that its layout makes use of, in the registry's order."""
    rules = LAYOUTS[name].rules
    own = [source for source in sources if source.dataset == name]
    return [source for source in own if any(re.fullmatch(rule.pattern, source.path) for rule in rules)]


def uncovered(name: str, sources: list[Source]) -> list[str]:
    """Targets of data set `name` that no source feeds."""
    files = wanted(name, sources)
    return [rule.target for rule in LAYOUTS[name].rules if not rule.targets(files)]


def lay_out(name: str, files: dict[Source, Path], folder: Path) -> None:
    """Write data set `name` into `folder` from verified originals, with a README.md of where it comes from.

    Raises InputError naming the target whose sources are not of the form that the rule expects.
    """
    for rule in LAYOUTS[name].rules:
        for target, sources in rule.targets(files).items():
            try:
                _write(folder / target, rule.form([(source.path, files[source]) for source in sources]))
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                problem = f"the source's form is not the expected one ({type(error).__name__}: {error})"
                raise InputError(f"{name}: cannot make {target}: {problem}") from None
    write_text(folder / "README.md", _readme(name, list(files)))


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        if path.suffix != ".gz":
            return file.writelines(pieces)
        # No name and no time stamp in it, so that the same sources give the same bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            packed.writelines(pieces)


def _readme(name: str, sources: list[Source]) -> str:
    origins = sorted({(each.repository, each.commit, each.licence) for each in sources})
    intro = "Third-party data, laid out by `slmkit data pull`; every source file was checked by SHA-256."
    lines = [f"# {name}", "", intro, ""]
    for repository, commit, licence in origins:
        files = sum((each.repository, each.commit) == (repository, commit) for each in sources)
        address = f"https://github.com/{repository}/tree/{commit}"
        lines.append(f"- {files} files of {address}, licence: {licence} (its text and authors are there)")
    if any("-SA-" in licence for *_, licence in origins):
        lines.append("- Share-alike: what is adapted from this folder carries the same licence; keep it apart.")
    if LAYOUTS[name].missing:
        lines.append(f"- Not here: {LAYOUTS[name].missing_line()}")
    return "\n".join(lines) + "\n"
