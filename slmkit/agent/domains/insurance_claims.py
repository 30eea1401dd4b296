"""Insurance claims: policies, what they cover, and claims on their way. The tools do not check all of the policy."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import Any

from slmkit.agent.domains.draws import distinct, generator, made_id, numbers
from slmkit.agent.language import folder
from slmkit.agent.tools import Domain, ToolError, bind

PERILS = ("flood", "hail", "burglary", "vandalism", "lightning", "earthquake")
CAUSES = ("fire", "theft", "water", "storm", "collision")
STATES = ("open",) * 7 + ("accepted",) * 5 + ("refused",) * 4 + ("paid",) * 3
NEXT = {"open": "inspection", "accepted": "payout", "refused": "appeal", "appealed": "review"}


def populate(connection: sqlite3.Connection, seed: int) -> None:
    """8 policies with three perils each, and 19 claims in every state but withdrawn and appealed."""
    rng = generator("insurance_claims", seed)
    ids, policies = numbers("PL", rng), []
    for holder in distinct("person", 8, rng):
        policies.append(next(ids))
        item = rng.choice(("house", "flat", "car", "shop", "boat"))
        connection.execute("INSERT INTO policies VALUES (?, ?, ?)", (policies[-1], holder, item))
        for peril in rng.sample(PERILS, 3):
            limit, excess = rng.randint(5, 90) * 1_000, rng.choice((100, 150, 200, 250, 300, 500))
            connection.execute("INSERT INTO coverages VALUES (?, ?, ?, ?)", (policies[-1], peril, limit, excess))
    ids = numbers("CL", rng)
    for state in STATES:
        day = date(2026, 1, 1) + timedelta(days=rng.randint(0, 300))
        loss, offer = rng.randint(3, 90) * 100, rng.randint(200, 9_000) if state in ("accepted", "paid") else None
        row = (next(ids), rng.choice(policies), rng.choice(CAUSES), day.isoformat(), loss, state, offer)
        connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)


def check_policy_coverage(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    _policy(db, asked["policy_number"])
    row = db.execute(
        "SELECT limit_usd, excess_usd FROM coverages WHERE policy_number = ? AND peril = ?",
        (asked["policy_number"], asked["peril"]),
    ).fetchone()
    return {"covered": True, **dict(row)} if row else {"covered": False}


def get_claim_status(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    row = _claim(db, asked["claim_id"])
    found = {"state": row["state"], "cause": row["cause"]}
    if row["offer_usd"] is not None:
        found["offer_usd"] = row["offer_usd"]
    return found | ({"next": NEXT[row["state"]]} if row["state"] in NEXT else {})


def file_claim(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    policy = _policy(db, asked["policy_number"])["policy_number"]
    claim = made_id("CL", policy, asked["cause"], asked["incident_date"])
    row = (claim, policy, asked["cause"], asked["incident_date"], asked.get("estimated_loss"))
    try:
        db.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, 'open', NULL, NULL)", row)
    except sqlite3.IntegrityError:
        raise ToolError(f"this loss was filed before as {claim}") from None
    return {"claim_id": claim, "state": "open"}


def add_claim_document(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    claim = _claim(db, asked["claim_id"])["claim_id"]
    for file in dict.fromkeys(asked["documents"]):
        db.execute(
            "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT (claim_id, file) DO UPDATE SET kind = excluded.kind",
            (claim, file, asked.get("kind")),
        )
    count = db.execute("SELECT count(*) FROM documents WHERE claim_id = ?", (claim,)).fetchone()[0]
    return {"ok": True, "documents": count}


def schedule_damage_inspection(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """One visit a claim (a later one replaces it), and one at a time."""
    claim = _claim(db, asked["claim_id"], "open", "appealed")["claim_id"]
    place, day, hour = asked["address"], asked["date"], asked["time"]
    busy = db.execute(
        "SELECT 1 FROM inspections WHERE date = ? AND time = ? AND claim_id <> ?", (day, hour, claim)
    ).fetchone()
    if busy:
        raise ToolError(f"no adjuster is free on {day} at {hour}")
    db.execute("DELETE FROM inspections WHERE claim_id = ?", (claim,))
    row = (claim, place["street"], place["city"], place.get("postcode"), day, hour)
    db.execute("INSERT INTO inspections VALUES (?, ?, ?, ?, ?, ?)", row)
    return {"ok": True, "date": day, "time": hour}


def set_payout_method(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Stores the way of payment, whatever the state of the claim: the policy says which may have one."""
    claim = _claim(db, asked["claim_id"])["claim_id"]
    db.execute("DELETE FROM payouts WHERE claim_id = ?", (claim,))
    row = (claim, asked["method"], asked["payee"], int(asked.get("notify", False)))
    db.execute("INSERT INTO payouts VALUES (?, ?, ?, ?)", row)
    return {"ok": True, "method": asked["method"]}


def appeal_claim_decision(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    claim = _claim(db, asked["claim_id"], "refused", "accepted")["claim_id"]
    db.execute("INSERT INTO appeals VALUES (?, ?, ?)", (claim, asked["argument"], asked.get("demanded_amount")))
    db.execute("UPDATE claims SET state = 'appealed' WHERE claim_id = ?", (claim,))
    return {"ok": True, "state": "appealed"}


def withdraw_claim(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Ends a claim, even a paid one: that those stay is for the policy to say."""
    claim = _claim(db, asked["claim_id"], "open", "accepted", "refused", "paid", "appealed")["claim_id"]
    db.execute(
        "UPDATE claims SET state = 'withdrawn', withdrawn_because = ? WHERE claim_id = ?", (asked["reason"], claim)
    )
    return {"ok": True, "state": "withdrawn"}


def _policy(db: sqlite3.Connection, number: str) -> sqlite3.Row:
    row = db.execute("SELECT * FROM policies WHERE policy_number = ?", (number,)).fetchone()
    if row is None:
        raise ToolError(f"no policy {number}")
    return row


def _claim(db: sqlite3.Connection, claim_id: str, *states: str) -> sqlite3.Row:
    """A claim, in one of `states` if any are given."""
    row = db.execute("SELECT * FROM claims WHERE claim_id = ?", (claim_id,)).fetchone()
    if row is None:
        raise ToolError(f"no claim {claim_id}")
    if states and row["state"] not in states:
        raise ToolError(f"{claim_id} is {row['state']}")
    return row


RUNS = (
    check_policy_coverage,
    get_claim_status,
    file_claim,
    add_claim_document,
    schedule_damage_inspection,
    set_payout_method,
    appeal_claim_decision,
    withdraw_claim,
)
DOMAIN = Domain(
    "insurance_claims",
    (folder() / "insurance_claims.sql").read_text(encoding="utf-8"),
    populate,
    tuple(bind("insurance_claims", {run.__name__: run for run in RUNS})),
)
