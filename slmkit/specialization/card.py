"""The card of an adapter: what it was made of, hashed, and how well it did; as JSON and as a page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slmkit import files
from slmkit.errors import InputError
from slmkit.specialization.data import Row


def rows_hash(rows: Sequence[Row]) -> str:
    """Hash of rows: the same rows in the same order, the same hash."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()[:16]


def row_id(row: Row) -> str:
    """The row's own `id`, or a hash of it."""
    return str(row.get("id") or rows_hash([row]))


def weights_hash(folder: Path) -> str:
    """Hash of the weights in an adapter or model folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(files.sha256(path).encode())
    return digest.hexdigest()[:16]


def size_bytes(folder: Path) -> int:
    """Bytes of the weights in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def write(folder: Path, card: dict[str, Any]) -> None:
    """`card.json` and `README.md` in the adapter's folder."""
    files.write_json(folder / "card.json", card)
    files.write_text(folder / "README.md", page(card))


def read(folder: Path) -> dict[str, Any]:
    """The card of an adapter folder; InputError where there is none."""
    path = folder / "card.json"
    if not path.is_file():
        raise InputError(f"{folder}: has no card.json; give a folder that slmkit trained")
    return json.loads(path.read_text(encoding="utf-8"))


def page(card: dict[str, Any]) -> str:
    """The card in words, with the front matter that the hub reads."""
    settings, best = card["settings"], card["best"]
    kind = f"LoRA, rank {settings['rank']}" if settings["method"] == "lora" else "all weights"
    made = f"{card['steps']} steps of {settings['batch_size']} rows, {card['seconds']:.0f} s, "
    made += f"{card['tokens_per_s']:,.0f} tokens/s without padding, {card['hardware']}"
    mixed = f", {settings['general_share']:.0%} of each batch from general data" if settings["general_share"] else ""
    return f"""---
base_model: {card["base"]}
library_name: peft
tags: [lora, tool-calling]
---
# {kind} on {card["base"]}

* Base: `{card["base"]}`, fingerprint `{card["base_fingerprint"]}`
* Data: {card["n_rows"]} rows, hash `{card["data_hash"]}`{mixed}; validation: {card["n_validation"]} rows, hash \
`{card["validation_hash"]}`; the ids of both are in `card.json`
* Training: {made}
* Size: {card["size_bytes"] / 1e6:.2f} MB, {card["trainable_parameters"]:,} trained parameters, weights \
`{card["weights_hash"]}`
* Chosen: step {best["step"]}, by the share of validation rows answered exactly: {best["reward"]:.1%} \
(before training {card["before"]["reward"]:.1%}); the validation rows chose the step, so this is no test score
{f"* Ended early: {card['stopped']}" if card["stopped"] else ""}
Load it as the model reference `{card["base"]}+FOLDER`; `slmkit export FOLDER --out DIR` writes the merged model.
"""
