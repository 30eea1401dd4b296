"""What the populations of the domains are drawn from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from random import Random

from slmkit.mini import values


def generator(domain: str, seed: int) -> Random:
    """The dice of one population: the same in every process."""
    return Random(f"{domain} {seed}")


def numbers(prefix: str, rng: Random) -> Iterator[str]:
    """Ids such as RN4821, none twice."""
    for number in rng.sample(range(1_000, 10_000), 500):
        yield f"{prefix}{number}"


def distinct(pool: str, count: int, rng: Random) -> list[str]:
    """`count` different values of a pool of the corpus."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[values.draw(pool, rng)] = None
    return list(found)


def made_id(prefix: str, *parts: object) -> str:
    """The id of a new row: it follows from what the row holds, so that the order of writes does not matter."""
    number = int(hashlib.sha256(json.dumps(parts).encode()).hexdigest(), 16) % 9_000 + 1_000
    return f"{prefix}{number}"
