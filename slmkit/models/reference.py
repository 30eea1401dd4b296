"""What a model reference means: the one string by which a model is named everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slmkit import config
from slmkit.errors import InputError, nearest, unknown

MINIS = ("mini-1m", "mini-2m")
SCHEMES = ("openai", "replay")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_FORMS = "a mini (mini-2m), a hub id (OWNER/NAME), a folder (./NAME), openai:NAME@URL or replay:FILE"


@dataclass(frozen=True)
class Reference:
    """A parsed reference.

    `name` is what the other side calls the model: the mini's name, the hub id, or the name on the server.
    `path` is the folder of a local model or the file of a replay; a hub id has none.
    """

    text: str
    kind: Literal["local", "endpoint", "replay"]
    name: str
    path: Path | None = None
    revision: str | None = None
    base_url: str | None = None
    adapter: Path | None = None


def parse_reference(text: str, revision: str | None = None) -> Reference:
    """The meaning of a reference; `revision` is that of a hub id when the text itself has none.

    Raises InputError for an unknown mini, scheme or form (naming the nearest) and for a missing folder or
    file. Looks at the file system, never at the network.
    """
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if colon and re.fullmatch(r"[a-z]{2,}", scheme):
        if scheme == "openai":
            return _endpoint(text, rest)
        if scheme == "replay":
            return Reference(text, "replay", rest, path=_existing(rest, "recording"))
        raise unknown("kind of model reference", scheme, SCHEMES)
    base, adapter = _split_adapter(text)
    return _local(text, base, adapter, revision)


def _endpoint(text: str, rest: str) -> Reference:
    name, _, url = rest.rpartition("@")
    if not name or not re.match(r"https?://[^/\s]+", url):
        raise InputError(f"{text}: expected openai:NAME@http://host:port/v1")
    return Reference(text, "endpoint", name, base_url=url.rstrip("/"))


def _local(text: str, base: str, adapter: Path | None, revision: str | None) -> Reference:
    if base in minis():
        return Reference(text, "local", base, path=_mini(base), adapter=adapter)
    path = Path(base).expanduser()
    if base.startswith((".", "/", "~")) or (base and path.is_dir()):
        return Reference(text, "local", base, path=_existing(base, "model folder"), adapter=adapter)
    if _HUB_ID.fullmatch(base):
        name, _, own_revision = base.partition("@")
        return Reference(text, "local", name, revision=own_revision or revision, adapter=adapter)
    if base.count("/") > 1:
        return Reference(text, "local", base, path=_existing(base, "model folder"), adapter=adapter)
    guess = nearest(base, minis())
    raise InputError(f"unknown model {base!r}: " + (f"did you mean {guess!r}?" if guess else f"expected {_FORMS}"))


def minis() -> list[str]:
    """Names of the project's own models: those planned, and those that lie in `data/mini`."""
    try:
        folders = [folder.name for folder in config.resource("data/mini").glob("mini-*") if folder.is_dir()]
    except InputError:
        folders = []
    return sorted({*MINIS, *folders})


def _mini(name: str) -> Path:
    try:
        return config.resource(f"data/mini/{name}")
    except InputError:
        raise InputError(f"{name} is not part of this installation; train it with `slmkit mini train`") from None


def _split_adapter(text: str) -> tuple[str, Path | None]:
    """Model and adapter of `REF+FOLDER`; a plus sign may also be part of a folder's name."""
    if "+" not in text or Path(text).expanduser().is_dir():
        return text, None
    places = [at for at, character in enumerate(text) if character == "+"]
    for at in reversed(places):
        folder = Path(text[at + 1 :]).expanduser()
        if (folder / "adapter_config.json").is_file():
            return text[:at], folder
    folder = _existing(text[places[-1] + 1 :], "adapter folder")
    raise InputError(f"{folder}: not an adapter folder, it has no adapter_config.json")


def _existing(name: str, what: str) -> Path:
    """The path, which must exist; the error names the nearest sibling."""
    path = Path(name).expanduser()
    if name and path.exists():
        return path
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    guess = nearest(path.name, siblings)
    hint = f"; did you mean {str(path.parent / guess)!r}?" if guess else ""
    raise InputError(f"{what} {name!r} does not exist{hint}")
