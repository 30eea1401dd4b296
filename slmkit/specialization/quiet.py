"""TRL and transformers without the words that tell a reader of a notebook nothing."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it: no print at import about W&B's mode, no deprecations between TRL and transformers, no file times."""
    logger = logging.getLogger("transformers.trainer_utils")
    level = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate)\b")
        logger.setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                import trl  # noqa: F401  # imports transformers' integrations, which print
                from transformers.integrations import integration_utils  # noqa: F401
            yield
        finally:
            logger.setLevel(level)
