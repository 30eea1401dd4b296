"""Reading what a benchmark ships, and choosing the tools to offer beside the right ones."""

from __future__ import annotations

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slmkit.capability.suites.items import rank
from slmkit.errors import InputError
from slmkit.files import read_jsonl

HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # camelCase


def entries(path: Path, *fields: str) -> Iterator[dict[str, Any]]:
    """Records of a JSON-lines file; raises InputError naming file, record and field when one is missing."""
    for number, entry in enumerate(read_jsonl(path), 1):
        for name in fields:
            if name not in entry:
                where = f" ({entry['id']})" if "id" in entry else ""
                raise InputError(f"{path}: record {number}{where} has no field {name!r}; get the file again")
        yield entry


def returning(description: str, returns: str) -> str:
    """A tool's description with what it returns, for suites in which one call uses the result of another."""
    return f"{description.rstrip('. ')}. Returns: {returns}." if returns else description


def words(text: str) -> list[str]:
    """Words in lower case; camelCase and snake_case names come apart."""
    return re.findall(r"[a-z]{2,}|\d+", HUMP.sub(" ", text).lower())


class Shelf:
    """Functions {name, description, ...}, found by words as a retriever would: rare words weigh more."""

    def __init__(self, functions: Sequence[Mapping[str, Any]]) -> None:
        self.functions = list(functions)
        self._holders: dict[str, list[int]] = defaultdict(list)
        for index, function in enumerate(self.functions):
            for word in set(words(f"{function['name']} {function['description']}")):
                self._holders[word].append(index)

    def nearest(self, query: str, n: int) -> list[Mapping[str, Any]]:
        """The `n` functions that share the most words with `query`, weighed by rarity; ties by name."""
        weights: dict[int, float] = defaultdict(float)
        for word in set(words(query)):
            holders = self._holders.get(word, [])
            if len(holders) <= max(8, len(self.functions) // 20):  # a word that many hold tells little
                rarity = math.log(1 + len(self.functions) / max(1, len(holders)))
                for index in holders:
                    weights[index] += rarity
        order = heapq.nsmallest(n, weights, key=lambda index: (-weights[index], self.functions[index]["name"]))
        return [self.functions[index] for index in order]

    def beside(self, right: Sequence[Mapping[str, Any]], query: str, n: int, key: str) -> list[Mapping[str, Any]]:
        """The functions `right` among `n` others, in an order that depends on `key` alone.

        The others are drawn from the `4 n` nearest to the query, or from all where too few are near.
        """
        taken = {function["name"] for function in right}
        near = [f for f in self.nearest(query, 4 * n + len(taken)) if f["name"] not in taken]
        near.sort(key=lambda f: rank(key, f["name"]))
        chosen = near[:n]
        if len(chosen) < n:
            taken |= {function["name"] for function in chosen}
            rest = [f for f in self.functions if f["name"] not in taken]
            chosen += sorted(rest, key=lambda f: rank(key, f["name"]))[: n - len(chosen)]
        return sorted([*right, *chosen], key=lambda f: rank("order", key, f["name"]))
