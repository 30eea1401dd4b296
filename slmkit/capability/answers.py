"""Scoring a file of answers to BFCL entries, whichever model or program gave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmkit import files, stats
from slmkit.capability.bfcl_checker import AST_CATEGORIES, CATEGORIES, BfclScore, check, language_of
from slmkit.capability.bfcl_decode import decode_result
from slmkit.errors import InputError, unknown


@dataclass(frozen=True)
class Entry:
    """One BFCL entry, as far as scoring needs it."""

    category: str
    functions: list[dict[str, Any]]
    possible_answer: list[dict[str, Any]] | None

    def score(self, row: dict[str, Any]) -> BfclScore:
        """The verdict on an answer row, `{id, model_output}` or the official `{id, result}`."""
        output = row.get("model_output")
        if "model_output" not in row:
            output = decode_result(row["result"], self.functions, language_of(self.category))
        return check(self.functions, output, self.possible_answer, self.category)


class Entries:
    """The entries of a BFCL folder by id, read category by category as they are asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.categories: dict[str, dict[str, Entry]] = {}

    def category(self, category: str) -> dict[str, Entry]:
        """All entries of `category` by id."""
        if category not in self.categories:
            name = f"BFCL_v4_{category}.json"
            answers: dict[str, Any] = {}
            if category in AST_CATEGORIES:
                rows = files.read_jsonl(files.either(self.folder / "possible_answer", name))
                answers = {row["id"]: row["ground_truth"] for row in rows}
            self.categories[category] = {
                row["id"]: Entry(category, row["function"], answers.get(row["id"]))
                for row in files.read_jsonl(files.either(self.folder, name))
            }
        return self.categories[category]

    def find(self, entry_id: str) -> Entry:
        """The entry called `entry_id`; InputError when its category or number is unknown."""
        category = entry_id.rpartition("_")[0]
        if category not in CATEGORIES:
            raise unknown("BFCL category", category, CATEGORIES)
        entries = self.category(category)
        if entry_id not in entries:
            raise unknown("BFCL id", entry_id, entries)
        return entries[entry_id]


def score_answers(
    path: str | Path, data_folder: str | Path, verify: bool = False, *, partial: bool = False
) -> dict[str, Any]:
    """Official verdicts on an answers file (JSON lines, also .gz) against the BFCL entries in `data_folder`.

    Rows are `{id, model_output: [{function: {argument: value}}]}`, `model_output` null where nothing could be
    decoded, or the official `{id, result}`. Gives `rows` {id, category, valid, error_type, error, detail} and
    `summary` {category, n, correct, estimate, low, high}, a Wilson interval each. A category that the file
    touches has to be answered in full, unless `partial`. With `verify`, rows carry `valid` too, ids may
    repeat or lack, and the result is {n, agree, disagree}: how often that verdict is the one given here.

    Raises InputError naming the row of an unknown or double id or of a missing field, or the missing ids.
    """
    entries = Entries(data_folder)
    scored = [
        _score(f"{path}: row {number}", row, entries, verify) for number, row in enumerate(files.read_jsonl(path), 1)
    ]
    if not scored:
        raise InputError(f"{path}: no answers; expected one JSON object a line, {{id, model_output}}")
    if verify:
        wrong = [row for row in scored if row["valid"] != row["expected"]]
        return {"n": len(scored), "agree": len(scored) - len(wrong), "disagree": wrong}
    _refuse_doubles(path, scored)
    if not partial:
        _refuse_gaps(path, scored, entries)
    return {"rows": scored, "summary": _summary(scored)}


def _score(where: str, row: dict[str, Any], entries: Entries, verify: bool) -> dict[str, Any]:
    if not isinstance(row.get("id"), str):
        raise InputError(f"{where}: `id` is missing or no text")
    if "model_output" not in row and "result" not in row:
        raise InputError(f"{where} ({row['id']}): neither `model_output` nor `result`")
    try:
        entry = entries.find(row["id"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    score = entry.score(row)
    verdict = {"id": row["id"], "category": entry.category, "valid": score.valid}
    if verify:
        # Where the official program stopped with an exception, it has no verdict: the answer is not valid.
        verdict["expected"] = False if row.get("raises") else row.get("valid")
        if not isinstance(verdict["expected"], bool):
            raise InputError(f"{where} ({row['id']}): `valid` has to be true or false to verify against")
    return {**verdict, "error_type": score.error_type, "error": score.error, "detail": score.detail}


def _refuse_doubles(path: str | Path, scored: list[dict[str, Any]]) -> None:
    first: dict[str, int] = {}
    for number, row in enumerate(scored, 1):
        earlier = first.setdefault(row["id"], number)
        if earlier != number:
            raise InputError(f"{path}: row {number}: id {row['id']!r} again, after row {earlier}; keep one")


def _refuse_gaps(path: str | Path, scored: list[dict[str, Any]], entries: Entries) -> None:
    answered = {row["id"] for row in scored}
    for category in sorted({row["category"] for row in scored}):
        wanted = entries.category(category)
        missing = [entry_id for entry_id in wanted if entry_id not in answered]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise InputError(
                f"{path}: no answer to {len(missing)} of {len(wanted)} entries of {category} ({some}); "
                "add them, or score the file as partial"
            )


def _summary(scored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Share of valid answers by category, in the order of CATEGORIES."""
    summary = []
    for category in CATEGORIES:
        verdicts = [row["valid"] for row in scored if row["category"] == category]
        if verdicts:
            n, correct = len(verdicts), sum(verdicts)
            low, high = stats.wilson(correct, n)
            share = {"estimate": correct / n, "low": low, "high": high}
            summary.append({"category": category, "n": n, "correct": correct, **share})
    return summary
