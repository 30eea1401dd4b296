"""The words of the agent world, from `data/agent/`: marks of an answer, policies, phrasings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from slmkit import config, files

ENDS = ("refuse", "ask", "report")


def folder() -> Path:
    return config.resource("data/agent")


@cache
def read(name: str) -> Any:
    """One data file by name, e.g. `language`; InputError names it when it is not YAML."""
    return files.read_yaml(folder() / f"{name}.yaml")


def language() -> dict[str, Any]:
    return read("language")


def marked(text: str, end: str) -> bool:
    """Whether an agent's words begin as an answer of this kind must: `refuse`, `ask`, `report` or `confirm`."""
    return text.strip().casefold().startswith(language()["marks"][end].casefold())


def system(domain: str) -> str:
    """The system message of a domain: its policy, and how to close a turn."""
    return f"{language()['policies'][domain]} {language()['how']}"
