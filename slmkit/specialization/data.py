"""Rows to train on: checked, rendered as they will be served, and cut into batches of a few fixed shapes.

A row is a conversation in OpenAI shapes, `{"messages": [...], "tools": [...]}`, whose last message is the answer to
learn: calls (arguments as JSON text) or text. Only that answer, its end token included, enters the loss. With
`"learn": n` the last n answers of the assistant do, as they are served one after the other: a prompt is run over once
for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.models.messages import for_template, variants, with_tools

if TYPE_CHECKING:
    import torch

Row = Mapping[str, Any]

BUCKET = 64  # padded lengths are multiples of this: oneDNN builds its kernels anew for every new shape
ANSWER_BUCKET = 32  # the same for the answers, which alone go through the vocabulary
POOL = 8  # batches' worth of rows that are sorted by length together


@dataclass(frozen=True)
class Encoded:
    """One row in tokens; from `start` on they are the answer to learn, but for what the others say in `between`."""

    ids: list[int]
    start: int
    between: tuple[tuple[int, int], ...] = ()

    @property
    def answer(self) -> list[int]:
        """The tokens from the first that enters the loss to the last."""
        return self.ids[self.start :]

    @property
    def labels(self) -> list[int]:
        """`answer`, with -100 for tokens outside the loss."""
        made = list(self.ids)
        for begin, end in self.between:
            made[begin:end] = [-100] * (end - begin)
        return made[self.start :]


def check(rows: Sequence[Row], name: str = "rows") -> None:
    """Raise InputError, naming the row and the mend, for a row that cannot be learned from."""
    for index, row in enumerate(rows):
        where = f"{name}, row {index}"
        messages = row.get("messages") or []
        last = messages[-1] if messages else {}
        calls = [call for message in _learnt(row, where) for call in message[1].get("tool_calls") or []]
        if last.get("role") != "assistant" or not (last.get("tool_calls") or str(last.get("content") or "").strip()):
            raise InputError(f"{where}: no target; its last message must be the assistant's, with tool_calls or text")
        if not any(message.get("role") == "user" for message in messages[:-1]):
            raise InputError(f"{where}: nothing is asked; put a user message before the answer")
        schemas = {}
        for place, tool in enumerate(row.get("tools") or []):
            function = tool.get("function", tool)
            if not isinstance(function.get("name"), str) or not function["name"]:
                raise InputError(f"{where}: tools[{place}] has no name; give it as {{'function': {{'name': ...}}}}")
            schemas[function["name"]] = function.get("parameters") or {}
        for call in calls:
            _check_call(call, schemas, where)


def _learnt(row: Row, where: str) -> list[tuple[int, dict[str, Any]]]:
    """Place and message of the answers to learn, the last one included whatever its role."""
    n, messages = row.get("learn", 1), row.get("messages") or []
    if not isinstance(n, int) or n < 1:
        raise InputError(f"{where}: learn is {n!r}; give the number of answers to learn, 1 or more")
    spoken = [(at, message) for at, message in enumerate(messages[:-1]) if message.get("role") == "assistant"]
    if n > len(spoken) + 1:
        raise InputError(f"{where}: learn is {n}, the assistant speaks {len(spoken) + 1} times; lower it")
    return [*spoken[len(spoken) + 1 - n :], *list(enumerate(messages))[-1:]]


def _check_call(call: Mapping[str, Any], schemas: Mapping[str, dict], where: str) -> None:
    import jsonschema

    function = call.get("function") or {}
    name, arguments = function.get("name"), function.get("arguments")
    if name not in schemas:
        offered = ", ".join(sorted(schemas)) or "none"
        raise InputError(f"{where}: calls {name!r}, which is not among its tools ({offered}); add the tool")
    if not isinstance(arguments, str):
        kind = type(arguments).__name__
        raise InputError(f"{where}: arguments of {name} are a {kind}; give them as JSON text (json.dumps)")
    try:
        value = json.loads(arguments)
    except ValueError as error:
        raise InputError(f"{where}: arguments of {name} are not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: arguments of {name} are a JSON {type(value).__name__}; give an object")
    try:
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schemas[name]).iter_errors(value))
    except jsonschema.exceptions.SchemaError as broken:
        raise InputError(f"{where}: the parameters of {name} are no JSON Schema ({broken.message})") from None
    if error is not None:
        place = ".".join(map(str, error.absolute_path)) or "arguments"
        raise InputError(f"{where}: the call of {name} does not match its tool: {place}: {error.message[:120]}")


def prompt(tokenizer: Any, row: Row) -> str:
    """The row up to where the assistant answers, rendered by the tokenizer's chat template."""
    return _render(tokenizer, row["messages"][:-1], row.get("tools"), add_generation_prompt=True)


def text(tokenizer: Any, row: Row) -> str:
    """The whole row as text, the answer included."""
    return _render(tokenizer, row["messages"], row.get("tools"))


def _render(tokenizer: Any, messages: Sequence[dict], tools: Any, **options: Any) -> str:
    told, offered = for_template(list(messages)), list(tools or []) or None
    if offered and "tools" not in str(tokenizer.chat_template):
        told, offered = with_tools(told, offered), None
    errors = []
    for variant in variants(told):  # as serving does: a template may refuse a system turn, or arguments as a mapping
        try:
            return tokenizer.apply_chat_template(variant, tools=offered, tokenize=False, **options)
        except Exception as error:  # a template raises what it likes
            errors.append(error)
    raise InputError(f"the base's chat template refuses the row ({' '.join(str(errors[0]).split())[:120]})")


def encode(tokenizer: Any, rows: Sequence[Row], longest: int = 2048, name: str = "rows") -> list[Encoded]:
    """The rows in tokens, prompt and answer tokenized apart as they are when served.

    Raises InputError for a base whose template cannot say where the answer starts, and for a row that is too long.
    """
    if not tokenizer.chat_template:
        raise InputError("the base has no chat template; use its instruct version or add a chat_template.jinja")
    encoded = []
    for index, row in enumerate(rows):
        made = _encode(tokenizer, row, f"{name}, row {index}")
        if len(made.ids) > longest:
            size = f"{len(made.ids):,} tokens, more than longest={longest:,}"
            raise InputError(f"{name}, row {index}: {size}; shorten it or raise `longest`")
        encoded.append(made)
    return encoded


def _encode(tokenizer: Any, row: Row, where: str) -> Encoded:
    ids: list[int] = []
    edges, done = [], ""
    for at, _ in _learnt(row, where):
        part = {**row, "messages": row["messages"][: at + 1]}
        before, whole = prompt(tokenizer, part), text(tokenizer, part)
        if not whole.startswith(before) or not before.startswith(done):
            raise InputError(
                f"{where}: the base's chat template has no generation marks and renders a prompt otherwise "
                "than the start of the conversation; put {% generation %} around the answer, or use another base"
            )
        for piece in (before[len(done) :], whole[len(before) :]):
            ids += tokenizer.encode(piece, add_special_tokens=False)
            edges.append(len(ids))
        done = whole
    # Edges: where the first answer begins, where it ends, where the second begins, and so on.
    return Encoded(ids, edges[0], tuple(zip(edges[1:-1:2], edges[2::2], strict=True)))


def difficulty(row: Encoded, n_tools: int) -> float:
    """How hard a row is taken to be by a curriculum: tokens of the answer, times one more than the tools on offer."""
    return len(row.answer) * (1 + n_tools)


def plan(
    lengths: Sequence[int],
    batch_size: int,
    steps: int,
    seed: int,
    general: Sequence[int] = (),
    general_share: float = 0.0,
    easy_first: Sequence[int] | None = None,
) -> list[list[int]]:
    """Row indices of each of `steps` batches, always `batch_size` of them and of like length.

    Indices count the rows of `lengths` and then those of `general` (their lengths), which make up `general_share` of
    the rows. With `easy_first`, the row indices from easy to hard, the first batches draw from the easiest tenth and
    the share grows with the square root of the progress (Platanios et al. 2019, competence-based curriculum).
    The same arguments give the same plan, so that a killed run takes it up where it was.
    """
    rng, own, old = Random(f"plan/{seed}"), _Deck(seed), _Deck(seed + 1)
    sizes = [*lengths, *general]
    batches: list[list[int]] = []
    while len(batches) < steps:
        rows = range(len(lengths))
        if easy_first is not None:
            progress = min(1.0, len(batches) / max(1, 0.5 * steps))
            known = max(1, round(len(easy_first) * (0.01 + 0.99 * progress) ** 0.5))
            rows = easy_first[:known]  # type: ignore[assignment]
        wanted = batch_size * (POOL if easy_first is None else 2)
        n_general = round(wanted * general_share) if general else 0
        pool = own.draw(rows, wanted - n_general)
        pool += [len(lengths) + index for index in old.draw(range(len(general)), n_general)]
        pool.sort(key=lambda index: sizes[index] + rng.random() * BUCKET)
        cut = [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
        rng.shuffle(cut)
        batches += cut
    return batches[:steps]


class _Deck:
    """Rows dealt without repetition until all were seen, then shuffled anew."""

    def __init__(self, seed: int):
        self.rng, self.left = Random(f"deck/{seed}"), []  # type: ignore[var-annotated]

    def draw(self, rows: Sequence[int], n: int) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < n:
            if not self.left:
                self.left = list(rows)
                self.rng.shuffle(self.left)
            drawn.append(self.left.pop())
        return drawn


def collate(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """A batch padded on the left: `input_ids`, `attention_mask`, `position_ids` (rows, length); `labels` (rows, kept).

    All answers end in the last column, so the last `kept` positions hold every token of the loss, and only these need
    to go through the vocabulary.
    """
    import torch

    length = _up(max(len(row.ids) for row in rows), BUCKET)
    kept = min(length, _up(max(len(row.answer) for row in rows) + 1, ANSWER_BUCKET))
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), -100)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, length - len(row.ids) :] = torch.tensor(row.ids)
        mask[index, length - len(row.ids) :] = 1
        labels[index, length - len(row.answer) :] = torch.tensor(row.labels)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "labels": labels[:, -kept:]}


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
