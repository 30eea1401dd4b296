"""Domains, tools, checks before effect, transactions, journal, and what agrees with the kept-out catalogue."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmkit.agent import database, shape, tools
from slmkit.agent.world import DOMAINS, SqlSession, domain, population
from slmkit.errors import InputError
from slmkit.mini import catalog, offers
from slmkit.records import ToolCall

ROOT = Path(__file__).resolve().parents[1]


def open_session(name: str = "car_rental", **options) -> SqlSession:
    return SqlSession(domain(name), 7, **options)


def call(session: SqlSession, name: str, key: str = "k", **arguments):
    return session.call(ToolCall(name=name, arguments=json.dumps(arguments)), key)


def rental(session: SqlSession, state: str = "running") -> str:
    found = session.connection.execute("SELECT rental_id FROM rentals WHERE state = ?", (state,)).fetchone()
    return found[0]


def test_the_world_is_large_enough_and_marked():
    marks = [tool.access for name in DOMAINS for tool in domain(name).tools]
    assert len(marks) >= 12 and {"read", "write", "irreversible"} == set(marks)
    assert all(6 <= len(domain(name).tools) <= 8 for name in DOMAINS)


def test_domains_are_kept_out_of_the_minis_and_tools_agree_with_the_catalogue():
    assert set(DOMAINS) <= set(catalog.held_out_domains())
    own = {tool.name: offers.plain(tool, Random(0)).schema for name in DOMAINS for tool in catalog.domain(name)}
    trained = {tool.name for composed in (True, False) for tool in catalog.training_tools(composed)}
    for name in DOMAINS:
        for tool in domain(name).tools:
            assert tool.name not in trained
            assert tool.name not in own or tool.schema == own[tool.name]
    assert sum(tool.name in own for name in DOMAINS for tool in domain(name).tools) >= 15


@pytest.mark.parametrize("name", DOMAINS)
def test_foreign_keys_hold(name):
    session = open_session(name)
    assert session.connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert session.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    table = {"car_rental": "INSERT INTO extensions VALUES ('RN0', 1, NULL)",
             "insurance_claims": "INSERT INTO documents VALUES ('CL0', 'a.pdf', NULL)"}[name]  # fmt: skip
    with pytest.raises(sqlite3.IntegrityError):
        session.connection.execute(table)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_population_follows_from_its_seed(name):
    population.cache_clear()
    first = population(name, 3)
    population.cache_clear()
    assert database.rows(database.copy(first, None)) == database.rows(database.copy(population(name, 3), None))
    assert first != population(name, 4)


def test_a_write_changes_what_it_says():
    session = open_session()
    which = rental(session)
    done = call(session, "extend_rental", rental_id=which, extra_days=2)
    assert done.status == "ok" and done.access == "write" and any("extensions" in line for line in done.changes)
    assert call(session, "get_rental", key="r", rental_id=which).changes == ()


def test_a_call_under_the_same_key_acts_once():
    session = open_session()
    which = rental(session)
    first = call(session, "extend_rental", rental_id=which, extra_days=2)
    state = database.digest(session.connection)
    again = call(session, "extend_rental", rental_id=which, extra_days=2)
    assert again.text == first.text and database.digest(session.connection) == state
    assert call(session, "extend_rental", key="other", rental_id=which, extra_days=2).status == "ok"
    assert database.digest(session.connection) != state


BAD = [
    ("extend_rental", {"rental_id": "RN1", "extra_days": "two"}, "extra_days"),
    ("extend_rental", {"rental_id": "RN1"}, "missing"),
    ("extend_rental", {"rental_id": "RN1", "extra_days": 2, "discount": 50}, "unknown argument"),
    ("extend_rental", {"rental_id": "RN1", "extra_days": -2}, "out of range"),
    ("extend_rental", {"rental_id": "RN1", "extra_days": True}, "integer"),
    ("extend_rental", {"rental_id": "R" * 500, "extra_days": 2}, "longer than"),
    ("extend_rental", {"rental_id": "RN1\u0000", "extra_days": 2}, "control"),
    ("add_rental_extras", {"reservation_id": "RN1", "extra": "yacht", "quantity": 1}, "none of"),
    ("search_rental_vehicles", {"location": "Oslo", "pickup_date": "2026-02-30", "dropoff_date": "2026-03-01"}, "date"),
    ("reserve_rental_vehicle", {"model": "Audi A4", "driver": {"name": "A"}, "pickup_date": "2027-01-01", "days": 2},
     "age"),
    ("extend_rentals", {}, "did you mean extend_rental"),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, complaint", BAD)
def test_arguments_are_checked_before_any_effect(name, arguments, complaint):
    session = open_session()
    before = database.digest(session.connection)
    done = call(session, name, **arguments)
    assert done.status == "invalid" and complaint in done.text
    assert database.digest(session.connection) == before
    assert session.connection.execute("SELECT count(*) FROM journal").fetchone()[0] == 0


@pytest.mark.parametrize("text", ["{", "[]", "null", '"a"', "1" * 5_000])
def test_arguments_that_are_no_object_have_no_effect(text):
    done = open_session().call(ToolCall(name="get_rental", arguments=text), "k")
    assert done.status == "invalid"


def test_a_tool_that_says_no_leaves_all_as_it_was():
    session = open_session()
    before = database.digest(session.connection)
    done = call(session, "return_rental_vehicle", rental_id=rental(session, "reserved"), odometer=5, fuel="full")
    assert done.status == "error" and "reserved" in done.text and database.digest(session.connection) == before


def all_run(session: SqlSession, run: tools.Run) -> None:
    """Put `run` in the place of every tool's own function."""
    made = tuple(replace(tool, run=run) for tool in session.domain.tools)
    session.domain = replace(session.domain, tools=made)


def test_a_tool_that_breaks_half_way_is_rolled_back():
    session = open_session()
    before = database.digest(session.connection)
    which = rental(session)

    def breaks(db, asked):
        db.execute("UPDATE rentals SET days = 90 WHERE rental_id = ?", (asked["rental_id"],))
        raise RuntimeError("disk on fire")

    all_run(session, breaks)
    done = call(session, "extend_rental", rental_id=which, extra_days=2)
    assert done.status == "fault" and "fire" in done.text and database.digest(session.connection) == before


def test_sql_that_never_ends_is_broken_off():
    session = open_session(timeout_s=0.05)

    def endless(db, asked):
        query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        return dict(db.execute(query).fetchone())

    all_run(session, endless)
    assert call(session, "get_rental", rental_id="RN1").status == "fault"


@pytest.mark.parametrize("text", ["'; DROP TABLE rentals; --", "RN1' OR '1'='1", "%", "\\", '"; --'])
def test_sql_in_an_argument_is_only_text(text):
    session = open_session()
    before = database.digest(session.connection)
    assert call(session, "cancel_rental", reservation_id=text).status == "error"
    assert database.digest(session.connection) == before


def test_no_code_is_made_from_text():
    """No `eval` or `exec`, and no SQL put together from values: f-strings in `execute` name tables of the catalogue."""
    for path in (ROOT / "slmkit" / "agent").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])(eval|exec)\(", source), path
        formed = re.findall(r"execute(?:script|many)?\(\s*f[\"'](.*?)[\"']\s*[,)]", source, re.S)
        assert [query for query in formed if query != 'SELECT * FROM "{name}"'] == [], path


def test_an_unknown_domain_is_named():
    with pytest.raises(InputError, match="did you mean 'car_rental'"):
        domain("car_rentals")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([t.name for n in DOMAINS for t in domain(n).tools]), JSON)
def test_no_argument_breaks_the_world(name, value):
    which = "car_rental" if any(tool.name == name for tool in domain("car_rental").tools) else "insurance_claims"
    session = SqlSession(domain(which), 7)
    done = session.call(ToolCall(name=name, arguments=json.dumps(value)), "k")
    assert done.status in ("invalid", "error", "ok") and json.loads(done.text)
    session.close()


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}}},
    "required": ["a"],
}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON | st.lists(st.sampled_from(["x", "y", "z"])), max_size=3))
def test_the_short_check_agrees_with_jsonschema(value):
    full = shape._full({**SCHEMA, "additionalProperties": False}, value)
    assert bool(shape.mismatch(SCHEMA, value)) == bool(full)
