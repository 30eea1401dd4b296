"""Original files turned into the forms that the loaders read: files in, bytes out, a piece at a time."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

Files = list[tuple[str, Path]]  # (path in the source's repository, local file), in order of path
Convert = Callable[[Files], Iterator[bytes]]

_SPACE = re.compile(r"\s*")

ROUTED = ("prompt", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")

# The order of the categories on the leaderboard of BFCL v1.
OUTCOMES = (
    *("simple", "multiple_function", "parallel_function", "parallel_multiple_function", "java", "javascript"),
    *("executable_simple", "executable_multiple_function", "executable_parallel_function"),
    *("executable_parallel_multiple_function", "rest", "relevance"),
)


def verbatim(files: Files) -> Iterator[bytes]:
    """The bytes as they are."""
    for _, file in files:
        with open(file, "rb") as source:
            while piece := source.read(1 << 20):
                yield piece


def elements(files: Files) -> Iterator[bytes]:
    """JSON lists, or JSON lines, as JSON lines."""
    for _, file in files:
        yield from map(_line, _objects(file))


def member(name: str) -> Convert:
    """One member of a JSON object, indented."""

    def convert(files: Files) -> Iterator[bytes]:
        for _, file in files:
            yield json.dumps(_object(file)[name], indent=1).encode() + b"\n"

    return convert


def members(name: str) -> Convert:
    """The elements of a list that is a member of a JSON object, as JSON lines."""

    def convert(files: Files) -> Iterator[bytes]:
        for _, file in files:
            yield from map(_line, _object(file)[name])

    return convert


def dialogues(files: Files) -> Iterator[bytes]:
    """API-Bank: one line a file, `file` its name below the samples folder, `turns` its lines."""
    for path, file in files:
        yield _line({"file": path.split("/lv1-lv2-samples/", 1)[1], "turns": list(_objects(file))})


def services(files: Files) -> Iterator[bytes]:
    """SGD: the schemas of all splits, one service a line, by name; a service of two splits comes once."""
    schemas = {service["service_name"]: service for _, file in files for service in _objects(file)}
    yield from (_line(schemas[name]) for name in sorted(schemas))


def tools(used: bool) -> Convert:
    """Seal-Tools: the definitions that some record calls, or those that none does."""

    def convert(files: Files) -> Iterator[bytes]:
        definitions = [file for path, file in files if path.endswith("/tool.jsonl")]
        records = [file for path, file in files if not path.endswith("/tool.jsonl")]
        called = {call["api"] for file in records for record in _objects(file) for call in record["calling"]}
        for file in definitions:
            yield from (_line(tool) for tool in _objects(file) if (tool["api_name"] in called) is used)

    return convert


def routed(files: Files) -> Iterator[bytes]:
    """RouteLLM: the prompt and whether each model was right; the models' texts are left out."""
    yield _row(ROUTED)
    for _, file in files:
        with open(file, encoding="utf-8-sig", newline="") as source:
            for row in csv.DictReader(source):
                yield _row(row[name] for name in ROUTED)


def outcomes(files: Files) -> Iterator[bytes]:
    """BFCL v1: the leaderboard's score files of all models as one table; a cell is `ok` or the error kind.

    A score file opens with `total_count` and `correct_count`; then comes each wrong item by its position,
    `id`, from 1. Raises ValueError when errors and correct items do not add up, or models differ in size.
    """
    kinds: dict[tuple[str, str], dict[int, str]] = {}
    totals: dict[str, int] = {}
    for path, file in files:
        model, category = path.split("/")[-2], path.split("/")[-1].removesuffix("_score.json")
        head, *wrong = _objects(file)
        kinds[model, category] = {int(row["id"]): row["error_type"] for row in wrong}
        if head["total_count"] - len(kinds[model, category]) != head["correct_count"]:
            raise ValueError(f"{path}: errors and correct items do not add up")
        if totals.setdefault(category, head["total_count"]) != head["total_count"]:
            raise ValueError(f"{path}: another number of items than the model before")
    models = sorted({model for model, _ in kinds})
    yield _row(("category", "index", *models))
    for category in OUTCOMES:
        for index in range(1, totals[category] + 1):
            yield _row((category, index, *(kinds[model, category].get(index, "ok") for model in models)))


def _objects(file: Path) -> Iterator[dict]:
    """Values of a JSON file: the elements of its list, or what follows one another, as in JSON lines."""
    text = file.read_text(encoding="utf-8-sig")
    decoder, start = json.JSONDecoder(), _SPACE.match(text).end()
    while start < len(text):
        value, end = decoder.raw_decode(text, start)
        yield from value if isinstance(value, list) else [value]
        start = _SPACE.match(text, end).end()


def _object(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8-sig"))


def _line(value: object) -> bytes:
    # ASCII: half a surrogate pair, which generated text can hold, has no UTF-8 form.
    return json.dumps(value).encode() + b"\n"


def _row(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
