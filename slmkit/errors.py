"""The one error that a user can cause, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: one line naming the file, row or field, and the mend. The command line exits with status 2."""


def nearest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was most likely meant to be, or None when nothing is close."""
    matches = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, name: str, options: Iterable[str]) -> InputError:
    """The error for an unknown `kind` of thing, naming the nearest known one, or all when none is near."""
    known = sorted(options)
    guess = nearest(name, known)
    hint = f"did you mean {guess!r}?" if guess else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}: {hint}")
