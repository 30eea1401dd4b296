"""Where each row of a batch stands, and which tokens may follow: the constraint of `grammar` at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from slmkit.models.grammar import CallGrammar

REACH = 64  # bytes kept to find a mark in, more than any mark has


@dataclass
class Row:
    """One row of a batch: its matcher, the note of what is not enforced, and where in the reply it stands."""

    matcher: Any
    note: str = ""
    barred: bool = False  # no call may start
    whole: bool = False  # the reply is bound from its first token
    thinking: bool = False
    bound: bool = False  # the matcher says what follows
    opening: bool = True  # nothing said so far but blanks, or a part of a name
    thought: bool = False
    said: bytes = b""  # the last of it, before a call


class CallConstraint:
    """A logits processor (the transformers interface) for a batch of rows, called once for each step."""

    def __init__(self, grammar: CallGrammar, rows: list[Row]) -> None:
        self.grammar = grammar
        self.form = grammar.form
        self._named = self.form is not None and self.form.named
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

    # What a token that was said means for its row.

    def _take(self, row: Row, token: int) -> None:
        if row.bound:
            self._advance(row, [token])
            return
        said = row.said + self.grammar.bytes[token]
        row.said = said[-REACH:]
        opens, closes = self.grammar.think_ids
        if row.thinking and (token == closes[-1] if len(closes) == 1 else said.endswith(b"</think>")):
            row.thinking, row.thought, row.opening, row.said = False, True, True, b""
        elif [token] == opens:
            row.thinking, row.opening = True, False
        elif row.opening and not row.thinking and (row.whole or self._named):
            self._open(row, token)
        elif not row.thinking:
            self._look_for_call(row, token, said)

    def _open(self, row: Row, token: int) -> None:
        """At the first tokens of a reply that is bound from there, or that may turn out to name a tool."""
        if row.matcher is not None and row.matcher.try_consume_tokens([token]):
            row.bound = row.whole or token == self.grammar.mark_id
        elif not (row.thought and self.grammar.blank[token]):
            row.opening = False  # text, which no name goes on to

    def _look_for_call(self, row: Row, token: int, said: bytes) -> None:
        if row.matcher is None or self.form is None:
            pass
        elif self.grammar.mark_id is not None:
            row.bound = token == self.grammar.mark_id and not self._named
        elif self.form.start:
            _, mark, rest = said.partition(self.form.start.encode())
            row.bound = bool(mark)
            if row.bound:
                self._advance(row, self.grammar.tokens.tokenize_bytes(rest))
        elif row.opening:
            row.bound = bool(self.grammar.opens_json[token])
            if row.bound:
                self._advance(row, [token])
        row.opening = row.opening and bool(self.grammar.blank[token])

    def _advance(self, row: Row, tokens: list[int]) -> None:
        """Take tokens of what is bound; a row whose reply has ended takes no more."""
        if row.matcher is None or row.matcher.is_stopped():
            return
        if not row.matcher.consume_tokens(tokens):
            row.note = row.note or f"unconstrained: {first_line(row.matcher.get_error())}"
            row.matcher = None

    # Which tokens may follow.

    def _forbidden(self) -> torch.Tensor | None:
        """Tokens that may not follow, (rows, vocabulary); None when all may."""
        asked = [self._asks(row) for row in self.rows]
        bars = [self._bars(row) for row in self.rows]
        if not any(asked) and all(bar is None for bar in bars):
            return None
        vocabulary = self.grammar.vocab_size
        bits = np.full((len(self.rows), -(-vocabulary // 32)), -1, dtype=np.int32)
        for line, row, asks in zip(bits, self.rows, asked, strict=True):
            if asks:
                row.matcher.unsafe_compute_mask_ptr(line.ctypes.data, line.nbytes)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :vocabulary]
        forbidden = torch.from_numpy(allowed == 0)
        for place, (row, bar) in enumerate(zip(self.rows, bars, strict=True)):
            if asked[place] and not row.bound:
                self._loosen(row, forbidden[place])
            if bar is not None:
                forbidden[place] |= bar
        return forbidden

    def _asks(self, row: Row) -> bool:
        """Whether the matcher has a say in the next token."""
        if row.matcher is None or row.thinking:
            return False
        bare = self.form is not None and not self.form.start  # a call may begin here without a mark before it
        return row.bound or (row.opening and (row.whole or bare))

    def _loosen(self, row: Row, forbidden: torch.Tensor) -> None:
        """At the start of a reply: free what the matcher has no say in."""
        grammar = self.grammar
        if row.whole:
            if row.thought:
                forbidden &= ~grammar.blank
            elif grammar.may_think:
                forbidden[grammar.think_ids[0][0]] = False
        elif self._named:
            barred = bool(forbidden[grammar.mark_id])
            forbidden[:] = False
            forbidden[grammar.mark_id] = barred
        else:
            forbidden &= grammar.opens_json  # only the token that opens a call is bound

    def _bars(self, row: Row) -> torch.Tensor | None:
        """Tokens that would start a call where none may, (vocabulary); None where there is no such token.

        What would spell a mark that is a token is barred as well: read as text, both are the same.
        """
        grammar = self.grammar
        if row.bound or row.thinking or row.whole or self.form is None:
            return None
        if not self.form.mark:
            return grammar.opens_json if row.barred and row.opening else None
        every, spelt = grammar.completing(row.said)
        if row.barred or (self._named and row.matcher is not None and not row.opening):
            return every
        return spelt if grammar.mark_id is not None else None


def first_line(message: str) -> str:
    """The gist of an llguidance error, which may go on for lines of grammar."""
    gist = message.split("failed to compile JSON schema: ")[-1]
    return next((line.strip() for line in gist.splitlines() if line.strip()), "refused")[:200]
