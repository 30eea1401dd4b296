"""Fine-tuning from files of JSON lines, settings as NAME=VALUE; one process, or several by `accelerate launch`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from slmkit import files, tracking
from slmkit.errors import InputError, unknown
from slmkit.specialization.finetune import Settings, Tuned, finetune


def changed_settings(changes: Sequence[str]) -> Settings:
    """The settings with fields changed by `NAME=VALUE`; InputError for what is no field, or no value for it."""
    defaults = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    values: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if name not in defaults:
            raise unknown("setting", name, defaults)
        if not equals:
            raise InputError(f"--set {change}: write it as NAME=VALUE")
        values[name] = _value(name, text, defaults[name])
    return Settings(**values)


def _value(name: str, text: str, default: Any) -> Any:
    if name == "target_modules":
        return tuple(text.split(",")) if "," in text else text
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise InputError(f"--set {name}={text}: true or false")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        raise InputError(f"--set {name}={text}: {text!r} is not a number") from None


def from_files(base: str, train: Path, validation: Path, out: Path, changes: Sequence[str] = ()) -> Tuned:
    """Fine-tune on two files of JSON lines; the run is tracked as WANDB_MODE says, offline by default."""
    settings = changed_settings(changes)
    rows, held_out = (list(files.read_jsonl(path)) for path in (train, validation))
    tracker = None
    if tracking.mode() != "disabled" and os.environ.get("RANK", "0") == "0":
        out.mkdir(parents=True, exist_ok=True)
        tracker = tracking.Tracker(out, "finetune", settings.method, {"base": base, **settings.record()})
    try:
        return finetune(base, rows, held_out, settings, out, tracker=tracker)
    finally:
        if tracker is not None:
            tracker.finish()


def main(words: Sequence[str] | None = None) -> None:
    """Entry point: bad input is one line and exit status 2."""
    parser = argparse.ArgumentParser("slmkit.specialization", description=__doc__)
    parser.add_argument("base", help="model reference, such as mini-2m or a hub id")
    parser.add_argument("train", type=Path, help="rows as JSON lines")
    parser.add_argument("validation", type=Path, help="rows that choose the checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a killed run goes on there")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="changes")
    given = parser.parse_args(words)
    try:
        tuned = from_files(given.base, given.train, given.validation, given.out, given.changes)
    except InputError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"slmkit: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if os.environ.get("RANK", "0") == "0":
        print(tuned.reference)
