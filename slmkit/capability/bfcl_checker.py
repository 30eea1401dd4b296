"""The verdict of the Berkeley Function Calling Leaderboard (v4) on a single-turn answer.

`check` gives the official verdict and error type for every category scored on the syntax tree (simple,
multiple, parallel and their live variants; Python, Java and JavaScript) and for the relevance categories:

- simple and multiple: one call, of the wanted function by its exact name, with all required arguments, no
  argument that has no acceptable value, and none left out that does not accept the empty string;
- parallel: as many calls as wanted, in any order; each wanted call takes the first answered call that fits;
- irrelevance: no call; relevance: some call, whichever.

What an argument has to be is in `bfcl_values`; how a model's words become calls is in `bfcl_decode`.
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any, NamedTuple

from slmkit.capability.bfcl_values import Language, Miss, check_argument
from slmkit.capability.scoring import Score

AST_CATEGORIES = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
)
NO_CALL_CATEGORIES = ("irrelevance", "live_irrelevance")
ANY_CALL_CATEGORIES = ("live_relevance",)
CATEGORIES = AST_CATEGORIES + NO_CALL_CATEGORIES + ANY_CALL_CATEGORIES

# How near a call came to the wanted one, nearest first: a parallel answer is named after its nearest call.
NEARNESS = ("wrong_argument_value", "wrong_argument_type", "extra_argument", "missing_argument", "wrong_tool")

# The official program stops with one of these where an entry contradicts itself: a type that it does not
# know, a gold call of a function that is not on offer. Here the answer is wrong, and the error type tells.
CONTRADICTIONS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class BfclScore(Score):
    """A Score with the official error type, e.g. `value_error:string`, None when the answer is valid."""

    error_type: str | None = None

    @property
    def valid(self) -> bool:
        """The official word for `correct`."""
        return self.correct

    @property
    def kind(self) -> str | None:
        """The error as one of `scoring.ERRORS`."""
        return self.error


class Entry(NamedTuple):
    """What the calls of an answer are held against, besides the acceptable values."""

    functions: list[dict[str, Any]]
    language: Language
    underscore_to_dot: bool

    def function(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The function that `answer` wants called; LookupError when it is not on offer."""
        name = next(iter(answer))
        for function in self.functions:
            if function["name"] == name:
                return function
        raise LookupError(f"no function {name!r} on offer")


def check(
    functions: list[dict[str, Any]],
    model_output: Any,
    possible_answer: list[dict[str, dict[str, list[Any]]]] | None,
    category: str,
    *,
    underscore_to_dot: bool = False,
    language: Language | None = None,
) -> BfclScore:
    """The official verdict on `model_output`: a list of `{function: {argument: value}}`, None if undecodable.

    `functions` are in BFCL's own schema; `possible_answer` is the entry's `ground_truth`, not read for
    relevance categories. With `underscore_to_dot`, names with dots are expected with underscores, as of
    models whose interface refuses dots. `language` follows from the category unless given. Any JSON value may
    come as answer; none raises.
    """
    if category in NO_CALL_CATEGORIES + ANY_CALL_CATEGORIES:
        miss = _check_decision(model_output, category)
    elif model_output is None:
        miss = Miss("invalid_syntax", "ast_decoder:decoder_failed", "no calls could be read")
    elif not _are_calls(model_output):
        miss = Miss("invalid_syntax", "ast_decoder:decoder_wrong_output_format", shown(model_output))
    else:
        entry = Entry(functions, language or language_of(category), underscore_to_dot)
        try:
            miss = _check_calls(entry, model_output, possible_answer or [], category)
        except CONTRADICTIONS as error:
            miss = Miss("wrong_argument_type", f"checker_error:{type(error).__name__}", str(error))
    return BfclScore(True) if miss is None else BfclScore(False, miss.kind, miss.detail, miss.error_type)


def language_of(category: str) -> Language:
    """The language in which the answers of a category are written."""
    if "javascript" in category:
        return "javascript"
    return "java" if "java" in category else "python"


def _are_calls(output: Any) -> bool:
    return type(output) is list and all(
        type(call) is dict and len(call) == 1 and type(next(iter(call.values()))) is dict for call in output
    )


def _check_decision(output: Any, category: str) -> Miss | None:
    called = bool(output) and _are_calls(output)
    if category in NO_CALL_CATEGORIES and called:
        return Miss("needless_call", "irrelevance_error:decoder_success", shown(output))
    if category in ANY_CALL_CATEGORIES and not called:
        return Miss("missed_call", "relevance_error:decoder_failed", "no call made")
    return None


def _check_calls(entry: Entry, calls: list[dict[str, Any]], gold: list[dict[str, Any]], category: str) -> Miss | None:
    if "parallel" in category:
        miss = _check_count("parallel_function_checker_no_order", calls, len(gold))
        return miss or _check_parallel(entry, calls, gold)
    if "multiple" in category:
        miss = _check_count("multiple_function_checker", calls, len(gold))
        return miss or _check_call(entry, entry.function(gold[0]), calls[0], gold[0])
    miss = _check_count("simple_function_checker", calls, 1)
    return miss or _check_call(entry, entry.functions[0], calls[0], gold[0])


def _check_count(checker: str, calls: list[dict[str, Any]], wanted: int) -> Miss | None:
    if len(calls) == wanted:
        return None
    kind = "missed_call" if len(calls) < wanted else "needless_call"
    return Miss(kind, f"{checker}:wrong_count", f"{len(calls)} calls made, {wanted} wanted")


def _check_parallel(entry: Entry, calls: list[dict[str, Any]], gold: list[dict[str, Any]]) -> Miss | None:
    left = list(calls)
    for answer in gold:
        function = entry.function(answer)
        misses = []
        for index, call in enumerate(left):
            miss = _check_call(entry, function, call, answer)
            if miss is None:
                del left[index]
                break
            misses.append(miss)
        else:
            nearest = min(misses, key=lambda miss: NEARNESS.index(miss.kind))
            return nearest._replace(error_type="parallel_function_checker_no_order:cannot_find_match")
    return None


def _check_call(entry: Entry, function: dict[str, Any], call: dict[str, Any], answer: dict[str, Any]) -> Miss | None:
    """Why `call` is not the call of `function` that `answer` accepts, None when it is."""
    name = function["name"].replace(".", "_") if entry.underscore_to_dot else function["name"]
    properties, required = function["parameters"]["properties"], function["parameters"]["required"]
    accepted = next(iter(answer.values()))
    if name not in call:
        detail = f"{shown(next(iter(call)))} instead of {name!r}"
        return Miss("wrong_tool", "simple_function_checker:wrong_func_name", detail)
    arguments = call[name]
    for parameter in required:
        if parameter not in arguments:
            return Miss("missing_argument", "simple_function_checker:missing_required", parameter)
    for argument, value in arguments.items():
        if argument not in properties or argument not in accepted:
            return Miss("extra_argument", "simple_function_checker:unexpected_param", shown(argument))
        miss = check_argument(argument, value, properties[argument], accepted[argument], entry.language)
        if miss:
            return miss
    for parameter, values in accepted.items():
        if parameter not in arguments and "" not in values:
            return Miss("missing_argument", "simple_function_checker:missing_optional", parameter)
    return None
