"""This world as an MCP server on stdin and stdout: `python -m slmkit.agent.outside.server car_rental SEED [DATABASE]`.

One database a server, kept in the file DATABASE if one is named. Marks of the tools go out as MCP's hints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from slmkit.agent.world import SqlSession, domain
from slmkit.errors import InputError
from slmkit.records import ToolCall

KEY = "slmkit/key"  # of a request's metadata: a call that is repeated under its key acts once


def build(session: SqlSession) -> Any:
    """An MCP server (`mcp.server.Server`) over one session."""
    from mcp import types
    from mcp.server import Server

    count = 0

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(types, session, schema) for schema in session.tools])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        nonlocal count
        count += 1
        key = (params.meta or {}).get(KEY) or f"mcp/{count}"  # type: ignore[attr-defined]
        call = ToolCall(name=params.name, arguments=json.dumps(params.arguments or {}))
        effect = session.call(call, str(key))
        content = types.TextContent(type="text", text=effect.text)
        return types.CallToolResult(content=[content], is_error=effect.status != "ok")

    name = f"slmkit {session.domain.name}"
    return Server(name, instructions=session.system, on_list_tools=list_tools, on_call_tool=call_tool)


def _described(types: Any, session: SqlSession, schema: dict[str, Any]) -> Any:
    function = schema["function"]
    mark = session.access[function["name"]]
    hints = types.ToolAnnotations(read_only_hint=mark == "read", destructive_hint=mark == "irreversible")
    return types.Tool(
        name=function["name"],
        description=function["description"],
        input_schema=function["parameters"],
        annotations=hints,
    )


def main(arguments: list[str]) -> None:
    """Serve until the client hangs up; raises InputError for arguments that name no world."""
    import anyio
    from mcp.server.stdio import stdio_server

    if len(arguments) not in (2, 3) or not arguments[1].isdigit():
        raise InputError("give a domain, the seed of its database, and a file for it if it is to be kept")
    path = Path(arguments[2]) if len(arguments) == 3 else None
    server = build(SqlSession(domain(arguments[0]), int(arguments[1]), path))

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
