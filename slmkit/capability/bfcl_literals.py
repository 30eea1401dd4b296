"""What a Java or JavaScript literal, given as source text, is worth to the BFCL checker.

Official BFCL reads such literals with patterns, not with a parser, and its verdicts hang on what those see:
elements are cut at every comma, a map ends at its first closing brace, text that fits no pattern stays text.
The same is done here, so that the verdicts are the same.
"""

from __future__ import annotations

import re
from typing import Any

JAVA_TYPES: dict[str, type] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    **dict.fromkeys(("char", "String", "any"), str),
    **dict.fromkeys(("Array", "ArrayList", "Queue", "Stack"), list),
    **dict.fromkeys(("HashMap", "Hashtable"), dict),
    "boolean": bool,
    "Set": set,
}
JAVASCRIPT_TYPES: dict[str, type] = {
    **dict.fromkeys(("integer", "Bigint"), int),
    **dict.fromkeys(("String", "any"), str),
    "float": float,
    "Boolean": bool,
    "array": list,
    "dict": dict,
}

BOOLEANS = {"true": True, "false": False}
INTEGER = re.compile(r"(-?\d+)$")
LONG = re.compile(r"(-?\d+)[lL]$")
BIGINT = re.compile(r"(-?\d+)n$")
DECIMAL = re.compile(r"(-?\d+(?:\.\d+)?)$")
DOUBLE = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$")
FLOAT = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[fF]$")

JAVA_NUMBERS = {
    **dict.fromkeys(("byte", "short", "integer"), (INTEGER, int)),
    "long": (LONG, int),
    "float": (FLOAT, float),
    "double": (DOUBLE, float),
}
JAVASCRIPT_NUMBERS = {"integer": (INTEGER, int), "Bigint": (BIGINT, int), "float": (DECIMAL, float)}

ARRAY = re.compile(r"new\s+\w+\[\]\s*\{([^}\n]*)\}")
AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
ADDED_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", re.DOTALL)
ADD = re.compile(r"add\((.[^)\n]*)\)")
EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
FILLED_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*([^}]*)\}", re.DOTALL)
PUT = re.compile(r'put\("(.*?)",\s*([^)\n]*)\)')
EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")

FLAT_ARRAY = re.compile(r"\[([^\]\n]*)\]|new\s+Array\(([^)\n]*)\)")
ROWS_OPEN = re.compile(r"(?:\[|new\s+Array(\())\s*\[")
ROW_CLOSED = re.compile(r"\s*(?:([\])])|,\s*\[)")
ROW = re.compile(r"\[([^\]\n]*)\]")
OBJECT = re.compile(r"\{([^}\n]*)\}")
PAIR = re.compile(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")


def java(text: str, declared: str, items: str | None = None) -> Any:
    """The value of Java source `text` for a parameter declared as `declared`, with elements of type `items`.

    Text that is no literal of the declared type comes back unchanged. Raises NotImplementedError for the
    collections that official BFCL does not read (Set, Hashtable, Queue, Stack).
    """
    if declared in JAVA_NUMBERS:
        return _number(text, *JAVA_NUMBERS[declared])
    if declared == "boolean":
        return BOOLEANS.get(text, text)
    if declared in ("char", "String", "any"):
        return text
    if declared == "Array":
        return _java_array(text, items)
    if declared == "ArrayList":
        return _java_list(text, items)
    if declared == "HashMap":
        return _java_map(text)
    raise NotImplementedError(f"Java type {declared}")


def _java_array(text: str, items: str | None) -> Any:
    found = ARRAY.search(text)
    if not found:
        return text
    elements = [element.strip() for element in found[1].split(",") if element.strip()]
    return [java(element, items) if items else _java_guess(element) for element in elements]


def _java_list(text: str, items: str | None) -> Any:
    if found := AS_LIST.search(text):
        elements = found[1].split(",")
    elif found := ADDED_LIST.search(text):
        elements = ADD.findall(found[1])
    else:
        return [] if EMPTY_LIST.search(text) else text
    return [_java_element(element.strip(), items) for element in elements]


def _java_element(text: str, items: str | None) -> Any:
    # Quotes go here but not in `new String[]{...}`: official BFCL treats the two collections differently.
    if items in ("char", "String"):
        return text[1:-1]
    return java(text, items) if items else _java_guess(text)


def _java_map(text: str) -> Any:
    if found := FILLED_MAP.search(text):
        return {key: _java_guess(value.strip()) for key, value in PUT.findall(found[1].rstrip())}
    return {} if EMPTY_MAP.search(text) else text


def _java_guess(text: str) -> Any:
    """The value of a literal whose type is not declared."""
    if text in BOOLEANS:
        return BOOLEANS[text]
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    for pattern, number in ((LONG, int), (FLOAT, float)):
        if found := pattern.match(text):
            return number(found[1])
    return _number_or_text(text)


def javascript(text: str, declared: str, items: str | None = None) -> Any:
    """The value of JavaScript source `text` for a parameter declared as `declared`, elements of type `items`.

    Text that is no literal of the declared type comes back unchanged (a collection without its outer space).
    Raises ValueError for a type that BFCL does not know.
    """
    if declared in JAVASCRIPT_NUMBERS:
        return _number(text, *JAVASCRIPT_NUMBERS[declared])
    if declared == "String":
        return unquoted(text)
    if declared == "Boolean":
        return BOOLEANS.get(text, text)
    if declared == "any":
        return text
    if declared == "array":
        return _javascript_array(text.strip(), items)
    if declared == "dict":
        return _javascript_object(text.strip())
    raise ValueError(f"JavaScript type {declared}")


def _javascript_array(text: str, items: str | None = None) -> Any:
    if rows := _rows(text):
        return [[_javascript_guess(element) for element in row.split(",")] for row in rows]
    found = FLAT_ARRAY.match(text)
    if not found:
        return text
    content = (found[1] or found[2] or "").strip()
    elements = [element.strip() for element in content.split(",")] if content else []
    try:
        return [javascript(element, items) if items else _javascript_guess(element) for element in elements]
    except ValueError:  # an integer beyond what int() reads
        return text


def _rows(text: str) -> list[str] | None:
    """The rows of an array of arrays, each as the text between its brackets; None when `text` is none.

    Found from the right: `ends[c]` is where the array ends if a row is closed by the bracket at `c`. A
    pattern that says the same takes exponential time over text that never ends.
    """
    opened = ROWS_OPEN.match(text)
    if not opened:
        return None
    last = ")" if opened[1] else "]"
    ends: dict[int, int] = {}

    def end(start: int) -> int | None:
        """The end of the array whose next row begins at `start`; a row holds no line break."""
        stop = text.find("\n", start)
        within = [c for c in ends if start <= c and (stop < 0 or c < stop)]
        return ends[min(within)] if within else None

    for closing in reversed([at for at, letter in enumerate(text) if letter == "]"]):
        after = ROW_CLOSED.match(text, closing + 1)
        if after and after[1] == last:
            ends[closing] = after.end()
        elif after and not after[1] and (stop := end(after.end())):
            ends[closing] = stop
    stop = end(opened.end())
    if stop is None:
        return None
    first, *others = [row.strip() for row in ROW.findall(text[:stop])]
    return [first.removeprefix("["), *others]


def _javascript_object(text: str) -> Any:
    found = OBJECT.match(text)
    if not found:
        return text
    members = {}
    for key, value in PAIR.findall(found[1]):
        value = value.strip()
        array = value.startswith("[") and value.endswith("]")
        members[key.strip().strip("'\"")] = _javascript_array(value) if array else _javascript_guess(value.strip("'\""))
    return members


def _javascript_guess(text: str) -> Any:
    """The value of a literal whose type is not declared."""
    text = text.strip()
    if text in BOOLEANS:
        return BOOLEANS[text]
    inner = unquoted(text)
    return inner if inner != text else _number_or_text(text)


def unquoted(text: str) -> str:
    """`text` without its quotes, when it begins and ends with the same kind of quote."""
    return text[1:-1] if text[:1] in ("'", '"') and text.endswith(text[0]) else text


def _number(text: str, pattern: re.Pattern[str], number: type) -> Any:
    found = pattern.match(text)
    return number(found[1]) if found else text


def _number_or_text(text: str) -> Any:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
