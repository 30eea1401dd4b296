"""The routing file: two model references and the thresholds between them, with the hash of what they rest on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from slmkit import config, files
from slmkit.agent.routing.scorer import Scorer
from slmkit.errors import InputError, unknown

RULES = ("invalid", "ungrounded", "irreversible", "trouble")
TARGETS = ("budget", "floor")


@dataclass(frozen=True, eq=False)
class Routing:
    """When the large model is asked.

    A reply of the small model goes to the large one where its risk (`scorer`) is `threshold` or more, or one of
    `rules` is met. Without the large model, a reply of risk `alone` or more is not carried out. `threshold` above 1
    leaves the rules alone; 0 asks the large model each time. `target` says what the threshold was chosen for (`budget`:
    most success within `target_value` as the share of calls; `floor`: fewest calls with a loss of at most
    `target_value`), `data_hash` on which tasks and replies, `access` what each tool may do.
    """

    small: str
    large: str
    scorer: Scorer | None = None
    threshold: float = 2.0
    alone: float = 2.0
    rules: tuple[str, ...] = RULES
    access: dict[str, str] = field(default_factory=dict)
    confirm: bool = True
    sampling: dict[str, Any] = field(default_factory=dict)
    target: str = ""
    target_value: float = 0.0
    data_hash: str = ""
    n_tasks: int = 0

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule not in RULES:
                raise unknown("rule", rule, RULES)
        if self.target and self.target not in TARGETS:
            raise unknown("target", self.target, TARGETS)

    def at(self, **changes: Any) -> Routing:
        """The same routing with some fields changed."""
        return replace(self, **changes)

    def write(self, path: str | Path) -> Path:
        """Write it as JSON, atomically."""
        return files.write_json(path, asdict(self) | {"scorer": self.scorer.row() if self.scorer else None})


def read(path: str | Path) -> Routing:
    """The routing of a file; InputError names the file and the field that is wrong, and the mend."""
    path = Path(path)
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such routing file; notebook 04 writes one (routing.json)") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not JSON ({error}); notebook 04 writes a whole one") from None
    if not isinstance(row, dict):
        raise InputError(f"{path}: expected a JSON object with `small` and `large`")
    known = Routing.__dataclass_fields__
    for name in row:
        if name not in known:
            raise InputError(f"{path}: {unknown('field', name, known)}")
    for name in ("small", "large"):
        if not isinstance(row.get(name), str) or not row[name]:
            raise InputError(f"{path}: `{name}` is missing; name a model, such as mini-2m or openai:NAME@URL")
    for name in ("threshold", "alone", "target_value"):
        if not isinstance(row.get(name, 0.0), int | float) or isinstance(row.get(name), bool):
            raise InputError(f"{path}: `{name}` must be a number, it is {row[name]!r}")
    try:
        scorer = row.get("scorer")
        made = {key: tuple(value) if isinstance(value, list) else value for key, value in (scorer or {}).items()}
        row |= {"scorer": Scorer(**made) if scorer else None, "rules": tuple(row.get("rules", RULES))}
        return Routing(**row)
    except (TypeError, InputError) as error:
        raise InputError(f"{path}: {error}") from None


def loadable(ref: str) -> str:
    """A reference as it can be loaded from any folder: an adapter of this project by its full path."""
    base, plus, folder = ref.partition("+")
    if not plus or Path(folder).exists():
        return ref
    try:
        return f"{base}+{config.resource(folder)}"
    except InputError:
        return ref


def hash_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Hex SHA-256 of rows, independent of their order: what a threshold was learnt on."""
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
