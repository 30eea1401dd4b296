"""How model families write tool calls, as far as a grammar can follow: a name, and arguments in some syntax.

gpt-oss names the recipient before the channel, as its template does, or within it, as its weights often do; a call
that is only mentioned in its analysis channel is bound as well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallFormat:
    """The literal text of a call: before its name, between name and arguments, after the arguments.

    `start` is what tells a call from free text; without one, the reply begins with the call. Calls follow each
    other with `between` (None: there is one at most); `opens` stands before the first, `closes` after the last.
    A `quoted` name is a JSON string. `arguments` is the syntax they are written in: json, or one of
    `syntax.spelling`; `or_after_name` may stand in the place of `after_name`. In a `named` format the name comes
    first and the mark `after_name` says that it was one.
    """

    start: str
    before_name: str = '{"name": '
    after_name: str = ', "arguments": '
    after: str = "}"
    between: str | None = None
    opens: str = ""
    closes: str = ""
    quoted: bool = True
    arguments: str = "json"
    or_after_name: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        return not self.start and not self.before_name

    @property
    def mark(self) -> str:
        """The text without which there is no call; empty for a bare JSON object."""
        return self.after_name if self.named else self.start


FORMATS = {
    "mini": CallFormat("<|call|>", between="<|call|>"),
    "named": CallFormat("", "", "<|call|>", "", between="\n", quoted=False),
    "hermes": CallFormat("<tool_call>", '\n{"name": ', after="}\n</tool_call>", between="\n<tool_call>"),
    "mistral": CallFormat("[TOOL_CALLS]", "", "[ARGS]", "", between="[TOOL_CALLS]", quoted=False),
    "mistral_list": CallFormat("[TOOL_CALLS]", between=", ", opens=" [", closes="]"),
    "deepseek": CallFormat(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "\n```json\n",
        "\n```<｜tool▁call▁end｜>",
        between="\n",
        closes="<｜tool▁calls▁end｜>",
        quoted=False,
    ),
    "lfm2": CallFormat(
        "<|tool_call_start|>",
        "",
        "(",
        ")",
        between=", ",
        opens="[",
        closes="]<|tool_call_end|>",
        quoted=False,
        arguments="python",
    ),
    "glm": CallFormat(
        "<tool_call>", "", "\n", "</tool_call>", between="\n<tool_call>", quoted=False, arguments="pairs"
    ),
    "qwen_xml": CallFormat(
        "<tool_call>",
        "\n<function=",
        ">\n",
        "</function>\n</tool_call>",
        between="\n<tool_call>",
        quoted=False,
        arguments="parameters",
    ),
    "gemma": CallFormat(
        "<|tool_call>", "call:", "{", "}<tool_call|>", between="<|tool_call>", quoted=False, arguments="gemma"
    ),
    "gptoss": CallFormat(
        " to=functions.",
        "",
        "<|channel|>commentary json<|message|>",
        "",
        quoted=False,
        or_after_name=("<|channel|>commentary <|constrain|>json<|message|>", " <|constrain|>json<|message|>"),
    ),
    "llama": CallFormat("", after_name=', "parameters": '),
    "json": CallFormat(""),
}


def call_format(template: str) -> CallFormat | None:
    """The format that a chat template teaches; None for one that is not known here.

    A template without tools gets them as text, with plain JSON as the form of a call (`messages.with_tools`).
    """
    if "tools" not in template:
        return FORMATS["json"]
    if '~ "<|call|>" ~' in template:
        return FORMATS["named"]
    if '<|call|>{"name"' in template:
        return FORMATS["mini"]
    if '"name": function name, "parameters": ' in template:
        return FORMATS["llama"]
    if "[TOOL_CALLS]" in template:
        return FORMATS["mistral" if "[ARGS]" in template else "mistral_list"]
    if "<｜tool▁sep｜>" in template and "```json" in template:
        return FORMATS["deepseek"]
    if "<|tool_call_start|>[" in template:
        return FORMATS["lfm2"]
    if "<|tool_call>call:" in template:
        return FORMATS["gemma"]
    if "to=functions." in template or ('"functions."' in template and "<|channel|>" in template):
        return FORMATS["gptoss"]
    if "<tool_call>" in template:
        kind = "glm" if "<arg_key>" in template else "qwen_xml" if "<function=" in template else "hermes"
        return FORMATS[kind]
    return None
