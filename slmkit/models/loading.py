"""From a reference to weights and tokenizer in memory; what is wrong with them is said in one line."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from slmkit import files
from slmkit.errors import InputError, unknown
from slmkit.models import hub
from slmkit.models.reference import Reference

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")
FLOAT32_BELOW = 500_000_000  # parameters; on a CPU a small model is fastest in float32, a large one must fit

_HASHED = (
    "*.safetensors",
    "*.bin",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "chat_template*",
    "adapter*",
)
_HASHED_WHOLE_BYTES = 500_000_000


def pick_device(device: str) -> str:
    """The device to use; raises InputError for an unknown one and for one that this machine does not have."""
    import torch

    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if has[name])
    if not has[device]:
        raise InputError(f"device {device!r} asked for, but torch {torch.__version__} finds none; use device=cpu")
    return device


def load_tokenizer(reference: Reference, source: str) -> Any:
    """The tokenizer with its chat template, padding on the left; raises InputError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=reference.revision)
    except Exception as error:  # a broken folder fails in many ways: OSError, ValueError, KeyError, plain Exception
        raise _unreadable(reference, error, "tokenizer") from None
    if len(tokenizer) == 0 or not tokenizer.encode("a"):
        raise InputError(f"{reference.name}: no tokenizer found; save one with tokenizer.save_pretrained(FOLDER)")
    if not tokenizer.chat_template:
        mend = "use its instruct version, or put a chat_template.jinja in the folder"
        raise InputError(f"{reference.name}: the tokenizer has no chat template; {mend}")
    tokenizer.padding_side = "left"
    return tokenizer


def load_weights(reference: Reference, source: str, device: str, dtype: str, load_in_4bit: bool) -> Any:
    """The model in evaluation mode on its device, its adapter merged in; raises InputError."""
    import torch
    from transformers import AutoModelForCausalLM

    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    options: dict[str, Any] = {"revision": reference.revision, "dtype": dtype}
    if load_in_4bit:
        options |= {"quantization_config": _four_bit(device), "device_map": {"": device}}
    _quiet()
    try:
        model = AutoModelForCausalLM.from_pretrained(source, **options)
    except Exception as error:
        raise _unreadable(reference, error, "model") from None
    if dtype == "auto" and device == "cpu" and model.num_parameters() < FLOAT32_BELOW:
        model = model.to(torch.float32)
    if not load_in_4bit:
        model = model.to(device)
    if reference.adapter:
        model = _with_adapter(model, reference.adapter, merge=not load_in_4bit)
    return model.eval()


def check_folder(reference: Reference) -> None:
    """Raise InputError for a folder that holds no model."""
    folder = reference.path
    if folder is None or (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        raise InputError(f"{reference.name} is an adapter; name it with its model as MODEL+{reference.name}")
    raise InputError(f"{reference.name} is not a model folder: it has no config.json")


def fingerprint(reference: Reference) -> str:
    """What answers: the commit of a hub model, or a hash of a folder's files, with the adapter's."""
    if reference.path is None:
        folder = hub.cached(reference)
        parts = [f"{reference.name}@{folder.name if folder else reference.revision or 'main'}"]
    else:
        parts = [_folder_hash(reference.path)]
    if reference.adapter:
        parts.append(_folder_hash(reference.adapter))
    return "+".join(parts)


def context_tokens(config: Any, tokenizer: Any) -> int:
    """Tokens that fit the model, prompt and reply together."""
    known = [getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    return min((size for size in known if size), default=2**31)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a reply."""
    ends: set[int] = set()
    for owner in (model.generation_config, model.config, tokenizer):
        token = getattr(owner, "eos_token_id", None)
        ends |= {token} if isinstance(token, int) else set(token or ())
    return frozenset(ends)


def _folder_hash(folder: Path) -> str:
    """Hash of the files that decide the answers; size and time stand for the content of a large one."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _HASHED for path in folder.glob(pattern)}):
        state = path.stat()
        whole = state.st_size <= _HASHED_WHOLE_BYTES
        content = files.sha256(path) if whole else f"{state.st_size} {state.st_mtime_ns}"
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()[:16]


def _four_bit(device: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if device != "cuda":
        raise InputError(f"load_in_4bit needs a CUDA device, this is {device}; leave it out")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError("load_in_4bit needs the package bitsandbytes; install it or leave the option out")
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)


def _with_adapter(model: Any, folder: Path, merge: bool) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings():  # PEFT asks transformers for a name that has changed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = PeftModel.from_pretrained(model, str(folder))
    except Exception as error:
        raise InputError(f"{folder}: this adapter does not fit the model ({_one_line(error)})") from None
    return adapted.merge_and_unload() if merge else adapted


def _unreadable(reference: Reference, error: Exception, what: str) -> InputError:
    """The one line for a model or tokenizer that could not be read."""
    name, text = reference.name, _one_line(error)
    if reference.path is not None:
        return InputError(f"{name}: the {what} cannot be read ({text})")
    lower = text.lower()
    if "gated" in lower or "401" in lower or "403" in lower:
        return InputError(f"{name} is gated or private; accept its terms on the hub and log in with `hf auth login`")
    if "not a valid model identifier" in lower or "404" in lower:
        return InputError(f"{name}: the hub has no such model; check the spelling (OWNER/NAME)")
    return InputError(f"{name}: the {what} cannot be read ({text})")


def _one_line(error: BaseException, limit: int = 160) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _quiet() -> None:
    """No bar for weights that load in a second, and no advice to install GPU kernels for a model on a CPU."""
    from transformers.utils import logging as transformers_logging

    with suppress(AttributeError):
        transformers_logging.disable_progress_bar()
    for name in ("transformers.integrations.hub_kernels", "transformers.models.lfm2.modeling_lfm2"):
        logging.getLogger(name).setLevel(logging.ERROR)
