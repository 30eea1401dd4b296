"""Original files into the raw cache: each one whole and with the registry's SHA-256, or one clear line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slmkit.downloads.registry import Source
from slmkit.errors import InputError

if TYPE_CHECKING:
    import requests

TRIES = 3
BACKOFF_S = 1.0  # before the second try; twice that before the third
TIMEOUT_S = (10, 60)  # to connect; between two pieces of the body
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that another try may change
MIRROR = "or name a mirror with SLMKIT_DATA_URL"


def fetch(sources: list[Source], raw: Path, base_url: str | None = None) -> dict[Source, Path]:
    """Local file of each source, in `raw` and named by its SHA-256; one verified before is not fetched again.

    Shows one progress bar over the bytes of all (none under TQDM_DISABLE). Raises InputError for the first
    file that cannot be had; the files verified before it stay for the next time.
    """
    import logging

    import pooch
    import requests
    from tqdm import tqdm

    pooch.get_logger().setLevel(logging.WARNING)
    keeper = pooch.create(
        path=raw,
        base_url="",
        registry={source.sha256: f"sha256:{source.sha256}" for source in sources},
        urls={source.sha256: source.url(base_url) for source in sources},
    )
    files, done = {}, 0
    bar = tqdm(
        total=sum(source.bytes for source in sources),
        desc=sources[0].dataset if sources else None,
        unit="B",
        unit_scale=True,
        disable=os.environ.get("TQDM_DISABLE", "") not in ("", "0"),  # tqdm itself looks only when imported
    )
    with requests.Session() as session, bar:
        session.headers["Accept-Encoding"] = "identity"  # so that lengths on the way are those of the file
        for source in sources:
            download = _downloader(session, source, bar.update)
            try:
                files[source] = Path(keeper.fetch(source.sha256, downloader=download))
            except InputError:
                raise
            except ValueError:  # pooch: the hash of what came differs
                line = "SHA-256 differs from the registry's; the file was not kept, try again"
                raise InputError(f"{source.dataset}: {source.url(base_url)}: {line}") from None
            done += source.bytes
            bar.update(done - bar.n)  # a file that was there already, or a try that began anew
    return files


def _downloader(session: requests.Session, source: Source, advance: Callable[[int], object]) -> Callable:
    """What pooch calls with an address and a temporary file: bounded tries, each from the first byte."""
    import requests

    def download(url: str, target: str, _: object) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                return _stream(session, source, url, target, advance)
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = f"no connection ({_cause(error)}); check the network, {MIRROR}"
            except requests.exceptions.ChunkedEncodingError:
                problem = "transfer cut short; try again, the files verified so far are kept"
            except requests.HTTPError as error:
                status = error.response.status_code
                problem = f"HTTP {status} {error.response.reason}; try later, {MIRROR}"
                if status not in TRANSIENT:
                    problem = f"HTTP {status} {error.response.reason}; the source does not give it, {MIRROR}"
                    break
            except requests.RequestException as error:
                problem = f"not a usable address ({type(error).__name__}); SLMKIT_DATA_URL is as https://host"
                break
            if attempt < TRIES:
                time.sleep(BACKOFF_S * attempt)
        tries = f" after {attempt} tries" if attempt > 1 else ""
        raise InputError(f"{source.dataset}: {url}{tries}: {problem}")

    return download


def _stream(session: requests.Session, source: Source, url: str, target: str, advance: Callable[[int], object]) -> None:
    """One try; raises a requests exception, or InputError when more comes than the registry's bytes."""
    import requests

    got = 0
    with session.get(url, stream=True, timeout=TIMEOUT_S) as answer, open(target, "wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_content(1 << 16):
            got += len(piece)
            if got > source.bytes:
                line = f"longer than the registry's {source.bytes} bytes; the file was not kept"
                raise InputError(f"{source.dataset}: {url}: {line}")
            file.write(piece)
            advance(len(piece))
    if got < source.bytes:
        raise requests.exceptions.ChunkedEncodingError(f"{got} of {source.bytes} bytes")


def _cause(error: BaseException) -> str:
    """The innermost reason of a nested network error, without the objects that carry it."""
    while inner := [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, Exception)]:
        error = inner[0]
    return str(error).rsplit(": ", 1)[-1] or type(error).__name__
