"""An adapter made servable: the merged model folder, and the commands that serve it with vLLM and llama.cpp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from slmkit import files
from slmkit.errors import InputError
from slmkit.models import loading, parse_reference
from slmkit.specialization import gates
from slmkit.specialization.data import Row
from slmkit.specialization.rows import pretraining_rows

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 512)  # values that --max-lora-rank takes
# How a base writes its calls -> the parser of vLLM that reads them, by a mark in its chat template.
VLLM_PARSERS = {"<tool_call>": "hermes", "<|python_tag|>": "llama3_json", "[TOOL_CALLS]": "mistral"}
BFLOAT16_TOLERANCE = 0.25  # of a logit, where the merged weights are rounded to bfloat16


@dataclass(frozen=True)
class Exported:
    """Where the merged model lies, and the largest difference of a logit to base and adapter side by side."""

    folder: Path
    logit_difference: float


def export(adapter: str | Path, out: str | Path, base: str = "", rows: Sequence[Row] | None = None) -> Exported:
    """Merge `adapter` into its base, write the model folder `out` with a README, and check that it reloads alike.

    `base` is a model reference, by default the one that the adapter names. `rows` are those whose logits are compared,
    by default general ones. Weights are float32 for a small model, else of the base's type. Raises InputError for a
    folder that is no adapter and one that is in the way, GateError where the merged model answers otherwise.
    """
    adapter, out = Path(adapter), Path(out)
    path = adapter / "adapter_config.json"
    if not path.is_file():
        raise InputError(f"{adapter}: not an adapter folder, it has no adapter_config.json; name `adapter` of a run")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: exists and is not empty; choose another --out or remove it")
    config = json.loads(path.read_text(encoding="utf-8"))
    base = base or config["base_model_name_or_path"]
    reference = parse_reference(f"{base}+{adapter}")
    loading.check_folder(reference)

    from slmkit import models

    loaded: Any = models.load(reference.text)
    rows = list(rows or pretraining_rows(4))
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        loaded.model.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
        exact = str(loaded.model.dtype) == "torch.float32"
        difference = gates.merged_equals(
            reference.text, part, rows, tolerance=gates.TOLERANCE if exact else BFLOAT16_TOLERANCE
        )
        files.write_text(part / "README.md", _page(reference, adapter, out, config, loaded, difference))
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(out, difference)


def _page(reference: Any, adapter: Path, out: Path, config: dict[str, Any], loaded: Any, difference: float) -> str:
    template = str(loaded.tokenizer.chat_template)
    parser = next((name for mark, name in VLLM_PARSERS.items() if mark in template), "")
    rank = next((rank for rank in VLLM_RANKS if rank >= config["r"]), VLLM_RANKS[-1])
    calls = f" --enable-auto-tool-choice --tool-call-parser {parser}" if parser else ""
    base = str(reference.path.resolve()) if reference.path else reference.name
    page = resources.files("slmkit.specialization").joinpath("export.md").read_text(encoding="utf-8")
    return Template(page).substitute(
        reference=reference.text,
        base=base,
        base_name=reference.name,
        adapter=str(adapter.resolve()),
        name=out.name,
        folder=str(out.resolve()),
        rank=rank,
        calls=calls,
        parsing=_parsing(parser),
        difference=f"{difference:.1e}",
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        context=min(loaded.context, 32_768),
        gguf=_gguf(loaded),
    )


def _parsing(parser: str) -> str:
    if parser:
        return f"Calls come back parsed (`{parser}`)."
    return (
        "vLLM has no parser for this base's form of calls: they come back as text, which slmkit parses "
        "(`openai:NAME@URL` as a model reference)."
    )


def _gguf(loaded: Any) -> str:
    if "<|call|>" in str(loaded.tokenizer.chat_template):
        return (
            "The tokenizer of the mini models splits words in a way of its own, which `convert_hf_to_gguf.py` does not "
            "know: it stops there until the tokenizer is added to it. The commands hold as they are for hub models."
        )
    return "The converter must know the base's architecture and tokenizer, as it does for the usual hub models."
