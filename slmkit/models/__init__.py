"""One chat interface over every kind of model.

`reference` says what a model's name means, `base` what every model can do and be asked for, `messages` how each
side wants to be told, `parsing` and `syntax` how text becomes tool calls. Behind them stand `local` (transformers
in process: `decoding` with `cache` and `prefix`, the `grammar` of calls with `callformat`, `jsonschemas` and
`constraint`, a threshold between call and no call in `calling`, and `profiling`), `endpoint` (any OpenAI-compatible
server, with `streaming`) and `replay` (recorded calls, and the recording of them).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.models.base import Model, Request, Sampling
from slmkit.models.reference import parse_reference

if TYPE_CHECKING:
    from slmkit.models.replay import Recorded as Recorded


def load(
    ref: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    load_in_4bit: bool = False,
    **options: Any,
) -> Model:
    """The model that a reference names, ready to chat; raises InputError in one line when there is none.

    `device` is auto, cpu, cuda or mps; `dtype` auto, float32, bfloat16 or float16. They, `revision` and
    `load_in_4bit` concern models in process only. `options` go to the kind of model that `ref` names:
    `local.LocalModel.load`, `endpoint.EndpointModel` or `replay.ReplayModel`.
    """
    reference = parse_reference(ref, revision=revision)
    if reference.kind == "local":
        from slmkit.models.local import LocalModel

        return LocalModel.load(reference, device=device, dtype=dtype, load_in_4bit=load_in_4bit, **options)
    if reference.kind == "endpoint":
        from slmkit.models.endpoint import EndpointModel

        return EndpointModel(reference, **options)
    from slmkit.models.replay import ReplayModel

    return ReplayModel(reference.text, reference.path, **options)


def record(model: Model, path: str | Path) -> Recorded:
    """The model with its replies kept in the file `path`, and answered from there when they are on file."""
    from slmkit.models.replay import Recorded

    return Recorded(model, path)


def __getattr__(name: str) -> Any:
    if name == "Recorded":
        from slmkit.models.replay import Recorded

        return Recorded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Model", "Recorded", "Request", "Sampling", "load", "parse_reference", "record"]
