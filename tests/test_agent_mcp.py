"""Tools over the Model Context Protocol: this world from another process, servers and their claims."""

from __future__ import annotations

import sys

import pytest

from slmkit.agent.generate import make_tasks
from slmkit.agent.loop import run_tasks
from slmkit.agent.oracle import Oracle
from slmkit.agent.world import DOMAINS, SqlSession, domain
from slmkit.errors import InputError

mcp = pytest.importorskip("mcp", reason="extra mcp is not installed")
MARKS = {tool.name: tool.access for name in DOMAINS for tool in domain(name).tools}


def test_tools_of_a_real_stdio_server(tmp_path):
    """The loop over a server in another process, judged by the database that the server wrote."""
    from slmkit.agent.outside.client import McpWorld

    task = next(task for task in make_tasks("test", 20) if not task.troubles and 2 <= task.n_calls <= 3)
    path = tmp_path / "world.sqlite"

    def connect(_, __):
        arguments = ["-m", "slmkit.agent.outside.server", task.domain, str(task.world_seed), str(path)]
        return mcp.StdioServerParameters(command=sys.executable, args=arguments)

    def judge(task):
        session = SqlSession(domain(task.domain), task.world_seed, path)
        try:
            return session.reached(task)
        finally:
            session.close()

    world = McpWorld(connect, access=MARKS, judge=judge, timeout_s=60)
    (outcome,) = run_tasks([task], Oracle([task]), world, progress=False)
    assert outcome.reward == 1 and {effect.status for effect in outcome.effects} <= {"ok", "error"}


def test_a_server_in_this_process_and_its_claims():
    from slmkit.agent.outside.client import McpWorld
    from slmkit.agent.outside.server import build

    tasks = [task for task in make_tasks("calibration", 12) if not task.troubles and task.kind in ("call", "chain")][:2]
    servers = {task.task_id: build(SqlSession(domain(task.domain), task.world_seed)) for task in tasks}
    world = McpWorld(lambda task, _: servers[task.task_id], access=MARKS)
    outcomes = run_tasks(tasks, Oracle(tasks), world, progress=False)
    assert [outcome.reason for outcome in outcomes if outcome.reward < 1] == []
    session = McpWorld(lambda task, _: build(SqlSession(domain(task.domain), task.world_seed))).open(tasks[0])
    assert set(session.access.values()) == {"irreversible"}, "a hint of a server never lowers caution"
    session.close()


def test_a_server_that_is_not_there_is_named():
    from slmkit.agent.outside.client import McpWorld

    with pytest.raises(InputError, match="MCP server cannot be reached"):
        McpWorld(lambda *_: mcp.StdioServerParameters(command="no-such-program")).open(make_tasks("test", 1)[0])


def test_arguments_of_the_server_are_checked():
    from slmkit.agent.outside.server import main

    for arguments in ([], ["car_rental"], ["car_rental", "x"], ["car_rentals", "1"]):
        with pytest.raises(InputError):
            main(arguments)


def test_tools_come_from_every_page_of_a_server():
    from slmkit.agent.outside.client import McpWorld

    types, server = mcp.types, pytest.importorskip("mcp.server")
    pages = {None: ("first", "2"), "2": ("second", "3"), "3": ("third", None)}

    async def list_tools(_, params):
        name, after = pages[params.cursor if params else None]
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"})], next_cursor=after)

    session = McpWorld(lambda *_: server.Server("paged", on_list_tools=list_tools)).open(make_tasks("test", 1)[0])
    assert list(session.access) == ["first", "second", "third"]
    session.close()
