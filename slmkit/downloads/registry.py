"""The registry of original files: where each lies, at which commit, and what its bytes must be."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from slmkit import config
from slmkit.errors import InputError

BASE_URL = "https://raw.githubusercontent.com"  # + /owner/name/commit/path: a repository's file as it is in git

# A row becomes a URL and, by its path, a file name: nothing may climb out of either.
_FORMS = {
    "dataset": r"[a-z0-9_]+",
    "repository": r"(?!\.)[\w.-]+/(?!\.)[\w.-]+",
    "commit": r"[0-9a-f]{40}",
    "path": r"(?!\.{1,2}(/|$))[^/\\\x00-\x1f]+(/(?!\.{1,2}(/|$))[^/\\\x00-\x1f]+)*",
    "bytes": r"[0-9]+",
    "sha256": r"[0-9a-f]{64}",
    "licence": r".+",
}


@dataclass(frozen=True)
class Source:
    """One original file of a data set; `bytes` and `sha256` are those of the file at `commit`."""

    dataset: str
    repository: str
    commit: str
    path: str
    bytes: int
    sha256: str
    licence: str

    def url(self, base: str | None = None) -> str:
        """Address of the raw file under `base`, else SLMKIT_DATA_URL, else GitHub."""
        base = base or os.environ.get("SLMKIT_DATA_URL") or BASE_URL
        return f"{base.rstrip('/')}/{self.repository}/{self.commit}/{quote(self.path)}"


def read(path: str | Path | None = None) -> list[Source]:
    """Sources of a registry file, by default the one that travels with the package.

    Raises InputError naming line and column of a value that is not of the column's form, or a double row.
    """
    path = Path(path) if path else config.resource("data/upstream.csv")
    if not path.is_file():
        raise InputError(f"{path}: no such registry")
    with open(path, encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        names = [field.name for field in fields(Source)]
        if table.fieldnames != names:
            raise InputError(f"{path}:1: expected the columns {','.join(names)}")
        sources = [_source(row, f"{path}:{table.line_num}") for row in table]
    seen: set[tuple[str, str]] = set()
    for source in sources:
        key = (source.dataset, source.path)
        if key in seen:
            raise InputError(f"{path}: {source.dataset} lists {source.path} twice; keep one row")
        seen.add(key)
    return sources


def _source(row: dict, where: str) -> Source:
    for name, form in _FORMS.items():
        if not re.fullmatch(form, row[name] or ""):
            raise InputError(f"{where}: {name} {row[name]!r} is not usable; see the source's repository for it")
    if None in row:
        raise InputError(f"{where}: more values than columns")
    return Source(**{**row, "bytes": int(row["bytes"])})
