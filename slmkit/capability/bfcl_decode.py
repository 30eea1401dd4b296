"""What a model said, as the calls that the BFCL checker takes: a list of `{function: {argument: value}}`.

Three forms come in. Tool calls of an OpenAI-style interface (a `Reply`, or rows `{function: "arguments as
JSON"}`) have their arguments parsed and nothing else done to them: for Java and JavaScript the official tools
declare every parameter as a string that holds source text, and an argument that comes as a JSON number or
list is a type error. Text in Python call syntax is read from its syntax tree, Java and JavaScript text in
`bfcl_source`.

Such interfaces refuse dots in names, so the model is shown `math_gcd` for `math.gcd`: `names` maps what was
shown to what is meant, and a name it does not hold stays as it is.
"""

from __future__ import annotations

import ast
import json
import operator
import warnings
from collections.abc import Mapping
from typing import Any

from slmkit.capability.bfcl_checker import BfclScore, check
from slmkit.capability.bfcl_source import parse_call
from slmkit.capability.bfcl_values import Language
from slmkit.capability.scoring import decoded
from slmkit.records import Reply

Calls = list[dict[str, dict[str, Any]]]

NOT_CALLS = (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError)

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
LARGEST = 1_000  # exponent, shift or repetition in an answer's arithmetic, which may not keep the scorer busy


def score_reply(
    functions: list[dict[str, Any]],
    reply: Reply,
    possible_answer: list[dict[str, Any]] | None,
    category: str,
    names: Mapping[str, str] | None = None,
) -> BfclScore:
    """The official verdict on a reply: a call that does not parse is no call, a failed reply is wrong."""
    if reply.error:
        return BfclScore(False, "invalid_syntax", f"no reply: {reply.error}", "inference_error")
    return check(functions, decode_reply(reply, names), possible_answer, category)


def decode_reply(reply: Reply, names: Mapping[str, str] | None = None) -> Calls | None:
    """The tool calls of `reply` under the names that are meant; None when one of them does not parse."""
    calls = decoded(reply)
    if calls is None:
        return None
    return [{(names or {}).get(call["name"], call["name"]): call["arguments"]} for call in calls]


def decode_result(result: Any, functions: list[dict[str, Any]], language: Language) -> Calls | None:
    """The calls in the `result` of an official answers file; None when it cannot be decoded.

    Text is call syntax of `language`. A list holds tool calls, with arguments as JSON text (or already
    parsed) and with dots or underscores in names.
    """
    try:
        if isinstance(result, str):
            return _text_calls(result, language)
        if isinstance(result, list):
            names = {function["name"].replace(".", "_"): function["name"] for function in functions}
            names |= {function["name"]: function["name"] for function in functions}
            return [_tool_call(call, names) for call in result]
    except NOT_CALLS:
        pass
    return None


def _tool_call(call: Any, names: Mapping[str, str]) -> dict[str, Any]:
    if not (isinstance(call, dict) and call):
        raise ValueError("no tool call")
    name, arguments = next(iter(call.items()))
    return {names.get(name, name): json.loads(arguments) if isinstance(arguments, str) else arguments}


def _text_calls(text: str, language: Language) -> Calls:
    text = text.strip("`\n ")
    text = text if text.startswith("[") else f"[{text}"
    text = text if text.endswith("]") else f"{text}]"
    return _python_calls(text) if language == "python" else parse_call(text[1:-1], language)


def _python_calls(text: str) -> Calls:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in a model's strings that Python frowns upon
        body = ast.parse(text.strip().strip("'"), mode="eval").body
    if isinstance(body, ast.Call):
        return [_python_call(body)]
    if not isinstance(body, ast.List | ast.Tuple):
        raise SyntaxError("no list of calls")
    return [_python_call(call) for call in body.elts]


def _python_call(node: ast.expr) -> dict[str, Any]:
    if not isinstance(node, ast.Call):
        raise SyntaxError("no call")
    parts, function = [], node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Name):
        parts.append(function.id)
    # Arguments without a name are dropped, as the official decoder does.
    return {".".join(reversed(parts)): {argument.arg: _python_value(argument.value) for argument in node.keywords}}


def _python_value(node: ast.expr | None) -> Any:
    """The value of an argument; a name, a call or a subscript is taken as its own source text."""
    match node:
        case ast.Constant(value):
            return "..." if value is ... else value
        case ast.UnaryOp(_, ast.Constant(value)):
            return -value  # whatever the sign: the official decoder reads +5 as -5 too
        case ast.List(elements):
            return [_python_value(element) for element in elements]
        case ast.Tuple(elements):
            return tuple(_python_value(element) for element in elements)
        case ast.Dict(keys, values):
            return {_python_value(key): _python_value(value) for key, value in zip(keys, values, strict=True)}
        case ast.BinOp():
            return _arithmetic(node)
        case ast.Name(name):
            return name
        case ast.Call(keywords=[]):
            return ast.unparse(node)
        case ast.Call():
            return _python_call(node)
        case ast.Subscript(value, index):
            return f"{ast.unparse(value)}[{ast.unparse(index)}]"
    raise SyntaxError("no value")


def _arithmetic(node: ast.expr) -> Any:
    """The value of an expression of constants; SyntaxError for any other, since nothing is run here."""
    match node:
        case ast.Constant(value):
            return value
        case ast.List(elements):
            return [_arithmetic(element) for element in elements]
        case ast.UnaryOp(sign, operand):
            return OPERATORS[type(sign)](_arithmetic(operand))
        case ast.BinOp(left, sign, right) if type(sign) in OPERATORS:
            one, other = _arithmetic(left), _arithmetic(right)
            if not _is_small(one, sign, other):
                raise SyntaxError("an expression of this size is not worked out")
            return OPERATORS[type(sign)](one, other)
    raise SyntaxError("no expression of constants")


def _is_small(one: Any, sign: ast.operator, other: Any) -> bool:
    numbers = isinstance(one, complex | float | int) and isinstance(other, complex | float | int)
    if isinstance(sign, ast.Pow | ast.LShift):
        return numbers and abs(one) <= 1e300 and abs(other) <= LARGEST
    if isinstance(sign, ast.Mult) and not numbers:  # a repeated string or list
        return all((value if isinstance(value, int) else len(value)) <= LARGEST for value in (one, other))
    return numbers or not isinstance(sign, ast.Mod)  # a string on the left would be a format of any width
