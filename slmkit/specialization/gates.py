"""Gates that make a fine-tuning result believable: each passes with what it measured, or raises GateError in one line.

They stand against the ways in which tutorials go silently wrong: a loss mask that is empty or off by a token, arguments
padded with None, a training prompt that is not the one served, an evaluation that never used the adapter, a merge that
changed the model, test items in the training data, general skill lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit import stats
from slmkit.models import parse_reference
from slmkit.specialization import card as cards
from slmkit.specialization import data
from slmkit.specialization.contamination import GateError, contamination
from slmkit.specialization.data import Row

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "GateError",
    "adapter_active",
    "contamination",
    "drift",
    "loss_mask",
    "merged_equals",
    "no_padding",
    "same_prompt",
]

LEAST_CHANGE = 1e-4  # largest logit difference below which an adapter counts as not active
TOLERANCE = 2e-3  # largest logit difference between merged and unmerged weights, float32; logits are of the order of 10


def loss_mask(tokenizer: Any, row: Row, batch: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The tokens of a row as the trainer sees them: columns position, token, in_loss.

    `batch` is the row's batch of one, by default as the trainer makes it. Fails when no token is in the loss, when
    those that are do not spell the answer as the template renders it, and where the template's own generation marks
    say otherwise.
    """
    import pandas as pd

    (encoded,) = data.encode(tokenizer, [row], longest=2**31)
    batch = batch or data.collate([encoded], tokenizer.pad_token_id or 0)
    ids, mask, labels = (batch[name][0].tolist() for name in ("input_ids", "attention_mask", "labels"))
    labels = [-100] * (len(ids) - len(labels)) + labels
    learned = [label for label in labels if label != -100]
    if not learned:
        raise GateError("loss mask: no token of the row is in the loss; the run would learn nothing")
    text, before = data.text(tokenizer, row), data.prompt(tokenizer, row)
    spelled = tokenizer.decode(learned, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if spelled != text[len(before) :]:
        raise GateError(f"loss mask: {spelled!r} is in the loss, the answer is {text[len(before) :]!r}")
    if any(label != -100 and label != token for label, token in zip(labels, ids, strict=True)):
        raise GateError("loss mask: a label is not the token at its place; labels and tokens are shifted")
    if (marked := _generation_marks(tokenizer, row)) is not None and marked != learned:
        spoken = tokenizer.decode(marked, skip_special_tokens=False)
        raise GateError(f"loss mask: the template's generation marks hold {spoken!r}, the loss {spelled!r}")
    shown = [
        {"position": position, "token": tokenizer.decode([token]), "in_loss": label != -100}
        for position, (token, label, real) in enumerate(zip(ids, labels, mask, strict=True))
        if real
    ]
    return pd.DataFrame(shown)


def _generation_marks(tokenizer: Any, row: Row) -> list[int] | None:
    """Tokens of the last answer by the template's own marks; None for a template without any."""
    from slmkit.models.messages import for_template

    if "generation %}" not in str(tokenizer.chat_template).replace("-%}", "%}"):
        return None
    made = tokenizer.apply_chat_template(
        for_template(list(row["messages"])),
        tools=list(row.get("tools") or []) or None,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    spoken = made["assistant_masks"]
    end = max((place for place, mark in enumerate(spoken) if mark), default=-1)
    start = end
    while start > 0 and spoken[start - 1]:
        start -= 1
    return made["input_ids"][start : end + 1]


def no_padding(rows: Sequence[Row]) -> int:
    """The rows, counted, when none holds a None that a table put in for a missing key.

    Arrow gives every row the union of all keys, so `{"city": "Oslo"}` becomes `{"city": "Oslo", "date": None}`, and the
    model learns to write nulls. Allowed are nulls that a tool's schema allows, and those of `enum` and `default`.
    """
    for index, row in enumerate(rows):
        schemas = {}
        for place, tool in enumerate(row.get("tools") or []):
            function = tool.get("function", tool)
            if where := _none(function, f"tools[{place}]"):
                raise GateError(
                    f"None padding: row {index}, {where} is None; leave the key out, keep rows as JSON text"
                )
            schemas[function["name"]] = (function.get("parameters") or {}).get("properties") or {}
        for message in row["messages"]:
            for call in message.get("tool_calls") or []:
                name, given = call["function"]["name"], call["function"]["arguments"]
                given = json.loads(given) if isinstance(given, str) else given
                for argument, value in given.items():
                    if value is None and not _nullable(schemas.get(name, {}).get(argument)):
                        raise GateError(f"None padding: row {index}, {name}({argument}=None), which its schema forbids")
    return len(rows)


def _none(value: Any, where: str) -> str | None:
    """Where a None lies in a tool, but for lists of values."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if inner is None and name not in ("default", "const"):
                return f"{where}.{name}"
            if found := _none(inner, f"{where}.{name}"):
                return found
    if isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            if found := _none(inner, f"{where}[{place}]"):
                return found
    return None


def _nullable(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    kinds = schema.get("type", "null")  # no type: anything goes
    return "null" in ([kinds] if isinstance(kinds, str) else kinds) or None in schema.get("enum", ())


def same_prompt(model: Any, rows: Sequence[Row]) -> int:
    """The rows, counted, when the prompt that each was trained with is the one that `model` serves, token by token.

    `model` is a `models.local.LocalModel`, whose rendering is the one of every evaluation.
    """
    for index, row in enumerate(rows):
        trained = data.prompt(model.tokenizer, row)
        served = model.render(list(row["messages"][:-1]), list(row.get("tools") or []))
        if trained != served:
            at = next((i for i, pair in enumerate(zip(trained, served, strict=False)) if pair[0] != pair[1]), 0)
            at = at or min(len(trained), len(served))
            parts = f"{trained[at : at + 40]!r} in training, {served[at : at + 40]!r} when served"
            raise GateError(f"prompt: row {index} differs at character {at}: {parts}")
        (encoded,) = data.encode(model.tokenizer, [row], longest=2**31)
        if encoded.ids[: encoded.start] != model.tokenizer.encode(served, add_special_tokens=False):
            raise GateError(f"prompt: row {index} has the same text in training and serving, but other tokens")
    return len(rows)


def adapter_active(base: str, tuned: str, rows: Sequence[Row]) -> dict[str, Any]:
    """`logit_change`, the largest over the answers of `rows`, and `weights_hash`, when `tuned` is not just its base.

    Fails when the logits are the base's, and when the weights in the folder are not those that the card names.
    """
    reference = parse_reference(tuned)
    folder = reference.adapter or reference.path
    one, other = (answer_logits(_merged(ref), rows) for ref in (base, tuned))
    change = max(float((x - y).abs().max()) for x, y in zip(one, other, strict=True))
    if not change > LEAST_CHANGE:
        raise GateError(f"adapter: {tuned} gives the logits of {base} (largest change {change:.1e}); it is not active")
    found = cards.weights_hash(folder) if folder else ""
    if folder and (folder / "card.json").is_file() and found != cards.read(folder)["weights_hash"]:
        raise GateError(f"adapter: the weights in {folder} are {found}, its card names other ones; train it again")
    return {"logit_change": change, "weights_hash": found}


def merged_equals(tuned: str, folder: str | Path, rows: Sequence[Row], tolerance: float = TOLERANCE) -> float:
    """Largest logit difference between adapter beside base and merged model in `folder`, where it is in tolerance."""
    one, other = answer_logits(_unmerged(tuned), rows), answer_logits(_merged(str(folder)), rows)
    difference = max(float((x - y).abs().max()) for x, y in zip(one, other, strict=True))
    if not difference <= tolerance:
        raise GateError(
            f"merge: {folder} differs from {tuned} by {difference:.2e} in a logit, tolerance {tolerance:.0e}"
        )
    return difference


def drift(
    before: Sequence[bool | float], after: Sequence[bool | float], limit: float = 0.03, unit: Any = None
) -> stats.PairedDifference:
    """After minus before on the same general items, when no more than `limit` (a fraction) is lost.

    Fails by the point estimate; the interval (95 %, bootstrap by `unit`) says whether more items are needed.
    """
    found = stats.paired_difference(list(map(float, after)), list(map(float, before)), margin=limit, unit=unit)
    if found.difference < -limit:
        interval = f"95 % interval {100 * found.low:.1f} to {100 * found.high:.1f}"
        raise GateError(
            f"drift: {-100 * found.difference:.1f} points of general skill are lost ({interval}, n = {found.n}), "
            f"limit {100 * limit:.1f}; mix in more general data (general_share)"
        )
    return found


def answer_logits(loaded: tuple[Any, Any], rows: Sequence[Row]) -> list[Any]:
    """Logits, (answer tokens, vocabulary) a row, where each next token of the answer is predicted."""
    import torch

    model, tokenizer = loaded
    found = []
    with torch.inference_mode():
        for row in data.encode(tokenizer, rows, longest=2**31):
            logits = model(input_ids=torch.tensor([row.ids], device=model.device), use_cache=False).logits[0]
            found.append(logits[row.start - 1 : -1].float().cpu())
    return found


def _merged(ref: str) -> tuple[Any, Any]:
    from slmkit import models

    loaded = models.load(ref)
    return loaded.model, loaded.tokenizer  # type: ignore[attr-defined]


def _unmerged(ref: str) -> tuple[Any, Any]:
    """Base and adapter as PEFT computes them, side by side."""
    from peft import PeftModel

    reference = parse_reference(ref)
    model, tokenizer = _merged(ref.removesuffix(f"+{reference.adapter}"))
    return PeftModel.from_pretrained(model, str(reference.adapter)).eval(), tokenizer
