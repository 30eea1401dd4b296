"""Where each row of a batch stands, and which tokens may follow: the constraint of `grammar` at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from slmkit.models.grammar import CallGrammar


@dataclass
class Row:
    """One row of a batch: its matcher, the note of what is not enforced, and where in the reply it stands."""

    matcher: Any
    note: str
    barred: bool  # no tool is on offer, so no call may start
    thinking: bool
    calling: bool = False
    opening: bool = True  # nothing but blanks so far: the place where a call without a start mark may begin
    text: str = ""


class CallConstraint:
    """A logits processor (the transformers interface) for a batch of rows, called once for each step."""

    def __init__(self, grammar: CallGrammar, rows: list[Row]) -> None:
        self.grammar = grammar
        self.rows = rows
        self.all_rows = list(rows)
        self.first = True

    @property
    def notes(self) -> list[str]:
        """For each row of the whole batch, what could not be enforced."""
        return [row.note for row in self.all_rows]

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.rows = [self.rows[place] for place in places]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary), minus infinity where forbidden; the last of `input_ids` is new."""
        if not self.first:
            for row, token in zip(self.rows, input_ids[:, -1].tolist(), strict=True):
                self._take(row, token)
        self.first = False
        forbidden = self._forbidden()
        if forbidden is None:
            return scores
        scores = scores.clone()
        scores[:, : forbidden.shape[1]].masked_fill_(forbidden.to(scores.device), float("-inf"))
        return scores

    def _take(self, row: Row, token: int) -> None:
        """Go on by one token: see where thinking and calls begin and end."""
        opens, closes = self.grammar.think_ids
        if row.calling:
            self._advance(row, [token])
        elif [token] in (opens, closes):
            row.thinking = [token] == opens
            row.opening = not row.thinking
        elif not row.thinking:
            self._look_for_call(row, token)

    def _look_for_call(self, row: Row, token: int) -> None:
        grammar, start = self.grammar, self.grammar.form.start
        if grammar.start_id is not None:
            row.calling = token == grammar.start_id
        elif start:
            row.text = row.text[-len(start) :] + grammar.tokens.decode_str([token])
            at = row.text.find(start)
            row.calling = at >= 0
            if row.calling:
                self._advance(row, grammar.tokens.tokenize_str(row.text[at + len(start) :]))
        elif row.opening:
            row.calling = bool(grammar.opens_json[token])
            row.opening = not grammar.tokens.decode_str([token]).strip()
            if row.calling:
                self._advance(row, [token])

    def _advance(self, row: Row, tokens: list[int]) -> None:
        """Take tokens of a call; a row whose reply has ended takes no more."""
        if row.matcher is None or row.matcher.is_stopped():
            return
        if not row.matcher.consume_tokens(tokens):
            row.note = row.note or f"unconstrained: {first_line(row.matcher.get_error())}"
            row.matcher = None

    def _forbidden(self) -> torch.Tensor | None:
        """Tokens that may not follow, (rows, vocabulary); None when all may."""
        grammar = self.grammar
        before = [not row.calling and not row.thinking for row in self.rows]  # where a call could start
        bare = [not grammar.form.start and row.opening and at for row, at in zip(self.rows, before, strict=True)]
        bound = [bool(row.matcher) and (row.calling or at) for row, at in zip(self.rows, bare, strict=True)]
        barred = [row.barred and at for row, at in zip(self.rows, before, strict=True)]
        if not any(bound) and not any(barred):
            return None
        bits = np.full((len(self.rows), -(-grammar.vocab_size // 32)), -1, dtype=np.int32)
        for line, row, is_bound in zip(bits, self.rows, bound, strict=True):
            if is_bound:
                row.matcher.unsafe_compute_mask_ptr(line.ctypes.data, line.nbytes)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, : grammar.vocab_size]
        forbidden = torch.from_numpy(allowed == 0)
        for place, row in enumerate(self.rows):
            if barred[place] and grammar.start_id is not None:
                forbidden[place, grammar.start_id] = True
            elif barred[place] and bare[place]:
                forbidden[place] = grammar.opens_json
            elif bound[place] and not row.calling:
                forbidden[place] &= grammar.opens_json  # before a call, only the token that opens it is bound
        return forbidden


def first_line(message: str) -> str:
    """The gist of an llguidance error, which may go on for lines of grammar."""
    gist = message.split("failed to compile JSON schema: ")[-1]
    return next((line.strip() for line in gist.splitlines() if line.strip()), "refused")[:200]
