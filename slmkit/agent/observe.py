"""From what a tool gave back, whatever that is, to text that a model can be shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

LIMIT = 20_000  # characters that are kept of one result; the view shows fewer


def observation(raw: Any, wrote: bool) -> tuple[str, bool]:
    """The text of a result, and whether it is one that must count as a fault.

    Bytes that are no UTF-8 and text that is no JSON cannot be read. After a write they must not read as a failure,
    or it would be made again: the text then says that the call was made. After a read they are a fault, which may
    be tried once more. Long text is cut; control characters go.
    """
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
        json.loads(text)
        readable = True
    except (ValueError, TypeError, RecursionError):
        readable = False
    if not readable:
        told = {"ok": True, "note": "result unreadable"} if wrote else {"error": "result unreadable"}
        return json.dumps(told), not wrote
    text = "".join(sign for sign in text if sign >= " " or sign == "\n")
    return (text if len(text) <= LIMIT else f"{text[:LIMIT]} ... cut"), False


def within(seconds: float, run: Callable[[], Any]) -> Any:
    """What `run` gives, or TimeoutError after so many seconds.

    What is left running is abandoned, so `run` must have no effect of its own on the world.
    """
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["value"] = run()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"timed out after {seconds:g} s")
    if "error" in box:
        raise box["error"]
    return box.get("value")
