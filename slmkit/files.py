"""Reading and writing files so that a broken line is named and nothing half-written is left behind."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Objects of a JSON-lines file (plain or `.gz`), in order.

    Raises InputError naming the file and line of a line that is not a JSON object, or the file when it is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:  # also an integer too long to convert
                    raise InputError(f"{path}:{number}: not JSON ({error}); mend or remove the line") from None
                if not isinstance(row, dict):
                    raise InputError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
                yield row
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file again") from None


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds; InputError naming the file where it cannot be read as YAML."""
    import yaml

    path = Path(path)
    try:
        # The C loader takes a tenth of the time, where libyaml is there.
        return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({error})") from None


def either(folder: Path, name: str) -> Path:
    """`folder/name`, or its `.gz` twin when only that one is there."""
    plain = folder / name
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() and not plain.is_file() else plain


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to `path` in one step: a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write text as UTF-8, atomically."""
    return write_bytes(path, text.encode("utf-8"))


def write_csv(path: str | Path, table: pd.DataFrame) -> Path:
    """Write a table without its index, atomically; packed when the name ends in `.gz`, always to the same bytes."""
    content = table.to_csv(index=False).encode("utf-8")
    return write_bytes(path, gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content)


def write_json(path: str | Path, value: object) -> Path:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused, since JSON has neither."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> Path:
    """Write one JSON object a line, atomically."""
    return write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
