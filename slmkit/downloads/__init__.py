"""Real benchmarks and traces from their sources: listed, fetched, verified, laid out for the loaders."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slmkit import config
from slmkit.downloads.layout import LAYOUTS, lay_out, uncovered, wanted
from slmkit.downloads.registry import Source, read
from slmkit.downloads.transfer import fetch
from slmkit.errors import InputError, unknown

SHARE_ALIKE = "-SA-"  # as in CC-BY-SA-4.0: what is adapted from the data has to carry the same licence


def available(into: str | Path | None = None, *, registry: str | Path | None = None) -> list[dict]:
    """One row a data set: `name`, `files` and `mib` to download, `licence`, `present`, `missing`.

    `present` says whether the loaders find it (in `into`, else SLMKIT_DATA, else the user cache); `missing`
    is what they may look for but no source in the registry gives. Raises InputError for a broken registry.
    """
    sources = read(registry)
    rows = []
    for name, layout in LAYOUTS.items():
        files = wanted(name, sources)
        rows.append(
            {
                "name": name,
                "files": len(files),
                "mib": round(sum(file.bytes for file in files) / 2**20, 2),
                "licence": _licence(files),
                "present": any((folder / name).is_dir() for folder in config.data_folders(into)),
                "missing": layout.missing_line(),
            }
        )
    return rows


def pull(
    names: str | Iterable[str],
    into: str | Path | None = None,
    *,
    base_url: str | None = None,
    registry: str | Path | None = None,
) -> list[Path]:
    """Download data sets, verify each file by SHA-256, and lay them out in `into`, by default the user cache.

    A data set appears whole or not at all; one already there is left as it is. Verified files outlive an
    interrupted pull, so that the next one goes on from them. `base_url`, or SLMKIT_DATA_URL, stands in for
    raw.githubusercontent.com. Returns the folders. Raises InputError for an unknown name, a failed download,
    a source of an unexpected form, or a folder that cannot be written.
    """
    names = [names] if isinstance(names, str) else list(names)
    sources = read(registry)
    plan = {name: _plan(name, sources) for name in names}
    folder = Path(into).expanduser() if into else config.cache() / "datasets"
    return [_pull(name, files, folder, base_url) for name, files in plan.items()]


def _plan(name: str, sources: list[Source]) -> list[Source]:
    if name not in LAYOUTS:
        raise unknown("data set", name, LAYOUTS)
    if not LAYOUTS[name].rules:
        raise InputError(f"data set {name!r} cannot be pulled: {LAYOUTS[name].missing_line()}")
    if gaps := uncovered(name, sources):
        raise InputError(f"data set {name!r}: the registry lists no source for {', '.join(gaps)}; restore its rows")
    return wanted(name, sources)


def _pull(name: str, files: list[Source], folder: Path, base_url: str | None) -> Path:
    target = folder / name
    if target.is_dir():
        return target
    raw = config.cache() / "raw" / name
    try:
        with _folder(folder), _folder(raw), _stage(folder, name) as stage:
            lay_out(name, fetch(files, raw, base_url), stage)
            _reveal(stage, target)
            # Only what is laid out is kept: originals are larger, and without a licence only facts may stay.
            shutil.rmtree(raw, ignore_errors=True)
    except OSError as error:
        where, why = error.filename2 or error.filename or folder, error.strerror or error
        raise InputError(f"{name}: cannot read or write {where} ({why}); nothing was laid out") from None
    return target


def _reveal(stage: Path, target: Path) -> None:
    """Rename the finished stage to its name; another pull that was faster wins."""
    stage.chmod(0o755)
    try:
        os.rename(stage, target)
    except OSError:
        if not target.is_dir():
            raise


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make `folder` for the block; whatever was made and is empty at the end goes again."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


@contextmanager
def _stage(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder beside the target, so that the rename stays within one file system."""
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}."))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _licence(files: list[Source]) -> str:
    licences = sorted({file.licence for file in files})
    return ", ".join(f"{each} (share-alike)" if SHARE_ALIKE in each else each for each in licences)
