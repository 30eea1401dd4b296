"""Whether one argument is acceptable to the BFCL checker: its type, then its value.

The rules, as the official checker applies them:

- Types are exact, except that an integer passes for a float when it is a Python argument itself (not an
  element).
- Elements of a list have the declared type or that of the first element of an acceptable list; no deeper.
- A value of another type passes only as a *variable*: the first acceptable value has that type, and one is
  equal.
- Strings compare without case, spaces and `,./-_*^`, and with single quotes read as double ones; so do
  strings that are elements of a list or members of a dictionary, no deeper.
- A dictionary has no unknown keys, and may lack those that accept the empty string.
- Java and JavaScript arguments are source text, read as a literal of the declared type first.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as shown
from typing import Any, Literal, NamedTuple

from slmkit.capability import bfcl_literals as literals

Language = Literal["python", "java", "javascript"]

PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
TYPES = {"python": PYTHON_TYPES, "java": literals.JAVA_TYPES, "javascript": literals.JAVASCRIPT_TYPES}
WITH_ITEMS = {"python": ("array", "tuple"), "java": ("Array", "ArrayList"), "javascript": ("array",)}
READ_LITERAL: dict[str, Callable[..., Any]] = {"java": literals.java, "javascript": literals.javascript}
NO_SOURCE_TEXT = {"java": "type_error:java", "javascript": "type_error:js"}

IGNORED = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


class Miss(NamedTuple):
    """Why something does not fit: one of `scoring.ERRORS`, the official error type, what was seen."""

    kind: str
    error_type: str
    detail: str


def check_argument(
    name: str, value: Any, schema: dict[str, Any], answers: list[Any], language: Language
) -> Miss | None:
    """Why argument `name` is not acceptable, None if it is; `schema` in BFCL's form, `answers` acceptable.

    Raises as Python does (LookupError, TypeError, ...) where schema and answers contradict themselves.
    """
    declared, types = schema["type"], TYPES[language]
    expected = types[declared]
    if language != "python" and type(value) is not str:
        detail = f"{name}: {shown(value)} is no source text"
        return Miss("wrong_argument_type", NO_SOURCE_TEXT[language], detail)
    items = schema["items"]["type"] if declared in WITH_ITEMS[language] else None
    element = None if items is None else types[items]
    if language != "python":
        value = READ_LITERAL[language](value, declared, items)
    elif declared == "tuple" and type(value) is tuple:
        value = list(value)
    elif declared == "float" and type(value) is int:
        value = float(value)

    problem, variable = _type_problem(value, answers, expected, element)
    if problem:
        return Miss("wrong_argument_type", problem, f"{name}: {shown(value)}, declared as {items or ''} {declared}")
    if problem := _value_problem(value, answers, None if variable else expected, element):
        return Miss("wrong_argument_value", problem, f"{name}: {shown(value)}, accepted {shown(answers)}")
    return None


def _type_problem(value: Any, answers: list[Any], expected: type, element: type | None) -> tuple[str | None, bool]:
    """The official error type, None when the type fits; and whether the value passes as a variable."""
    answered = _answered_type(answers)
    if type(value) is expected:
        if element is None or any(_elements_fit(value, answer, element) for answer in answers):
            return None, answered not in (None, expected)
        return "type_error:nested" if answered is expected else "type_error:simple", False
    return (None, True) if answered is type(value) else ("type_error:simple", False)


def _answered_type(answers: list[Any]) -> type | None:
    """The type of the first acceptable value; None when there is none but the empty string."""
    return next((type(answer) for answer in answers if answer != ""), None)


def _elements_fit(value: list[Any], answer: Any, element: type) -> bool:
    """Whether each element has the declared or the answered type; any will do where the answer is no list."""
    if type(answer) is not list:
        return True
    answered = _answered_type(answer)
    return all(type(item) is element or type(item) is answered for item in value)


def _value_problem(value: Any, answers: list[Any], expected: type | None, element: type | None) -> str | None:
    """The official error type, None when `value` is accepted. `expected` is None for a variable."""
    if expected is dict:
        return _dict_problem(value, answers)
    if expected is list and element is dict:
        return _dict_list_problem(value, answers)
    if expected is list:
        # An acceptable string counts as the list of its letters here, so [] passes where "" is accepted.
        accepted = [_standard_list(answer) for answer in answers]
        return None if _standard_list(value) in accepted else "value_error:list/tuple"
    if expected is str:
        accepted = [_standard(answer) for answer in answers if type(answer) is str]
        return None if _standard(value) in accepted else "value_error:string"
    return None if value in answers else "value_error:others"


def _dict_problem(value: dict[str, Any], answers: list[Any]) -> str | None:
    problem: str | None = "dict_checker:unclear"
    for answer in answers:
        if answer != "":
            problem = _one_dict_problem(value, answer)
            if problem is None:
                return None
    return problem


def _one_dict_problem(value: dict[str, Any], answer: dict[str, Any]) -> str | None:
    problem = None
    for key, item in value.items():
        if key not in answer:
            problem = "value_error:dict_key"
            break
        if _standard(item) not in _standard_list(answer[key]):
            problem = "value_error:dict_value"
            break
    if any(key not in value and "" not in accepted for key, accepted in answer.items()):
        return "value_error:dict_key"
    return problem


def _dict_list_problem(value: list[dict[str, Any]], answers: list[Any]) -> str | None:
    problem: str | None = "list_dict_checker:unclear"
    for answer in answers:
        if len(value) != len(answer):
            problem = "value_error:list_dict_count"
            continue
        problems = (_dict_problem(item, [answer[index]]) for index, item in enumerate(value))
        problem = next((found for found in problems if found), None)
        if problem is None:
            return None
    return problem


def _standard(value: Any) -> Any:
    """A string in the form in which strings are compared; any other value as it is."""
    return value.translate(IGNORED).lower() if type(value) is str else value


def _standard_list(values: Any) -> list[Any]:
    # By position, not by iteration: a dictionary where a list should be is a contradiction, not the list of
    # its keys.
    return [_standard(values[index]) for index in range(len(values))]
