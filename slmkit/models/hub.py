"""Where a model's files come from: a folder, the hub, or its cache when the hub cannot be reached."""

from __future__ import annotations

from pathlib import Path

from slmkit.errors import InputError
from slmkit.models.reference import Reference

TIMEOUT_S = 5.0


def source(reference: Reference) -> str:
    """What to load from: a folder, or a hub id.

    The hub is tried once and briefly, since its own client would retry for half a minute. Raises InputError
    where it cannot be reached and the cache does not hold the model.
    """
    if reference.path is not None:
        return str(reference.path)
    if reachable():
        return reference.name
    if folder := cached(reference):
        return str(folder)
    mend = f"check the network, or fetch it once where there is one with `hf download {reference.name}`"
    raise InputError(f"{reference.name} is not in the local cache and the hub cannot be reached; {mend}")


def reachable() -> bool:
    """Whether the hub answers, and offline mode is off."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
    except Exception:  # whatever the reason, there is no hub
        return False
    return True


def cached(reference: Reference) -> Path | None:
    """The folder of a hub model in the cache, named by its commit; None where it is not there."""
    from huggingface_hub import constants, try_to_load_from_cache

    config = try_to_load_from_cache(
        reference.name, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=reference.revision
    )
    return Path(config).parent if isinstance(config, str) else None
