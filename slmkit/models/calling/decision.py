"""Call or no call by a threshold, instead of by what happens to be the likeliest token.

The score is a log-probability for each call: that of the tokens with which a call of an offered tool starts, added
up, at the first token of the reply. At or above the threshold the reply starts as a call (and with a grammar, where
that token begins a name or an object, goes on to be one), below it makes none. A prompt that ends in a thought, a
reply that must be a call, and one that must not, leave nothing to decide.
A model folder ships its threshold in `call_threshold.json` (`slmkit mini threshold` fits it).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch

from slmkit.errors import InputError
from slmkit.files import sha256
from slmkit.models.base import Request, Sampling
from slmkit.models.callformat import CallFormat, call_format
from slmkit.models.decoding import Prompt, batches, generate
from slmkit.models.reference import Reference

FILE = "call_threshold.json"
SHIPPED, OFF = "shipped", "off"


def threshold_of(reference: Reference, asked: float | str | None) -> float | None:
    """The threshold to use, a log-probability (nats); None where decoding decides.

    `asked` is "shipped" (that of the model folder, where there is one and no adapter changes the model), "off" or
    None, or a number. Raises InputError for anything else, and for a shipped one that was fitted to other weights.
    """
    if asked in (OFF, None):
        return None
    if asked != SHIPPED:
        try:
            value = float(asked)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            value = math.nan
        if math.isnan(value):
            raise InputError(f"call_threshold must be a number, {SHIPPED!r} or {OFF!r}, not {asked!r}")
        return value
    path = reference.path / FILE if reference.path else None
    if path is None or reference.adapter or not path.is_file():
        return None
    mend = f"fit it again with `slmkit mini threshold {reference.name}`, or load with call_threshold='off'"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        value, fitted_to = float(told["call_logprob"]), told["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no call_logprob and weights_sha256 to be read ({error}); {mend}") from None
    weights = path.with_name("model.safetensors")
    if not weights.is_file() or sha256(weights) != fitted_to:
        raise InputError(f"{path}: was fitted to other weights than these; {mend}")
    return value


def starts(tokenizer: Any, form: CallFormat, tools: Sequence[dict]) -> list[int]:
    """The tokens with which a call of one of the tools starts, as the tokenizer would write it."""
    names = [tool.get("function", tool)["name"] for tool in tools]
    quoted = [json.dumps(name, ensure_ascii=False) if form.quoted else name for name in names]
    texts = [form.start + form.opens + form.before_name + name + form.after_name for name in quoted]
    return sorted({tokenizer.encode(text, add_special_tokens=False)[0] for text in texts})


class CallDecision:
    """A logits processor that decides at the first token of each row, then hands over to the constraint within.

    `call_logprobs` holds the score of each row, None where there is nothing to decide.
    """

    def __init__(self, openings: Sequence[list[int]], threshold: float | None, constraint: Any = None) -> None:
        """`openings` are the tokens that start a call, by row (empty: not to be decided).

        Without a threshold scores are taken and nothing is decided.
        """
        self.openings, self.threshold, self.constraint = openings, threshold, constraint
        self.call_logprobs: list[float | None] = [None] * len(openings)
        self._first = True

    @property
    def notes(self) -> list[str]:
        """What the constraint could not enforce, by row."""
        return self.constraint.notes if self.constraint else [""] * len(self.openings)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only."""
        if self.constraint:
            self.constraint.keep(places)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary), with only a call, or only something else, at the first token."""
        decided = self._decide(scores) if self._first else scores
        self._first = False
        return self.constraint(input_ids, decided) if self.constraint else decided

    def _decide(self, scores: torch.Tensor) -> torch.Tensor:
        decided = scores.clone()
        for place, opening in enumerate(self.openings):
            if not opening:
                continue
            row = scores[place]
            score = float(row[opening].logsumexp(0) - row.logsumexp(0))
            self.call_logprobs[place] = score
            if self.threshold is None:
                continue
            if score >= self.threshold:
                decided[place] = float("-inf")
                decided[place, opening] = row[opening]
                if self.constraint and self.constraint.rows[place].matcher and not self.constraint.form.start:
                    self.constraint.rows[place].whole = True  # no mark will say that it is one
            else:
                decided[place, opening] = float("-inf")
                if self.constraint:  # nor may the text that follows turn into a call
                    self.constraint.rows[place].barred = True
        return decided


def constrain(
    grammar: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    thinking: list[bool],
    bound: bool,
    threshold: float | None,
) -> Any:
    """What binds the rows of a batch: the grammar (`bound`), the threshold before it, or nothing (None)."""
    from slmkit.models.grammar import Offer

    if not bound and threshold is None:
        return None
    made = grammar.constrain([Offer.of(request, sampling) for request in requests], thinking)
    if threshold is None:
        return made
    openings = []
    for row, request in zip(made.rows, requests, strict=True):
        row.barred = row.barred and bound  # without a grammar text without tools is as free as ever
        asks = request.tools and request.may_call(sampling) and not row.whole and not row.thinking
        openings.append(starts(grammar.tokenizer, grammar.form, request.tools) if asks else [])
    return CallDecision(openings, threshold, made)


def call_logprobs(model: Any, requests: Sequence[Request]) -> list[float]:
    """The score of each request, which offers tools and fits the context, by a `local.LocalModel`; nothing is decided.

    Raises InputError where the model's form of calls is not known, or a prompt cannot be made.
    """
    form = call_format(str(model.tokenizer.chat_template))
    if form is None:
        raise InputError(f"{model.ref}: no threshold can be fitted, its form of calls is not known")
    prompts = []
    for request in requests:
        prompt = model._prompt(request, Sampling(max_tokens=1))
        if not isinstance(prompt, Prompt):
            raise InputError(f"{model.ref}: {prompt.error}")
        prompts.append(prompt)
    scores = [0.0] * len(prompts)
    for batch in batches([len(prompt.ids) for prompt in prompts], model.batch_tokens, model.max_rows):
        taken = CallDecision([starts(model.tokenizer, form, requests[place].tools) for place in batch], None)
        generate(model.model, [prompts[place] for place in batch], ends=model.ends, pad=model._pad(), constraint=taken)
        for place, score in zip(batch, taken.call_logprobs, strict=True):
            scores[place] = float(score)  # type: ignore[arg-type]
    return scores
