"""Car rental: vehicles of a few towns, rentals and their extras. The tools do not check all of the policy."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import Any

from slmkit.agent.domains.draws import distinct, generator, made_id, numbers
from slmkit.agent.language import folder
from slmkit.agent.tools import Domain, ToolError, bind

USD_A_DAY = {"small": 30, "medium": 45, "large": 60, "luxury": 120, "minibus": 90}
USD_EXTRA_A_DAY = {"child_seat": 6, "gps": 5, "snow_chains": 7, "roof_box": 9, "wifi": 4}
USD_COVER_A_DAY, USD_A_KM = 12, 0.1
SEATS = {"small": 4, "medium": 5, "large": 7, "luxury": 5, "minibus": 9}
STATES = ("reserved",) * 8 + ("running",) * 5 + ("returned",) * 2 + ("cancelled",)


def populate(connection: sqlite3.Connection, seed: int) -> None:
    """15 vehicles in 5 towns, and 16 rentals in every state."""
    rng = generator("car_rental", seed)
    models, cities = distinct("vehicle", 15, rng), distinct("known_city", 5, rng)
    ids, vehicles = numbers("V", rng), []
    prices = rng.sample(range(28, 140), len(models))
    for place, model in enumerate(models):
        kind, gears = rng.choice(list(USD_A_DAY)), rng.choice(("manual", "automatic"))
        vehicle = (next(ids), model, cities[place % len(cities)], kind, gears, SEATS[kind], prices[place])
        connection.execute("INSERT INTO vehicles VALUES (?, ?, ?, ?, ?, ?, ?)", vehicle)
        vehicles.append(vehicle[0])
    ids = numbers("RN", rng)
    for name, state in zip(distinct("person", len(STATES), rng), STATES, strict=True):
        connection.execute("INSERT INTO drivers VALUES (?, ?)", (name, rng.randint(23, 70)))
        day = date(2026, 1, 1) + timedelta(days=rng.randint(0, 300))
        row = (next(ids), name, rng.choice(vehicles), day.isoformat(), rng.randint(2, 14), rng.randint(0, 1), state)
        connection.execute(
            "INSERT INTO rentals (rental_id, driver, vehicle_id, pickup_date, days, prepaid, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )


def search_rental_vehicles(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Up to three vehicles of a town that fit and are free."""
    if asked["dropoff_date"] <= asked["pickup_date"]:
        raise ToolError("dropoff_date must be after pickup_date")
    found = db.execute(
        "SELECT vehicle_id, model, usd_a_day FROM vehicles WHERE lower(city) = lower(?) "
        "AND (? IS NULL OR transmission = ?) AND seats >= ? ORDER BY vehicle_id",
        (asked["location"], asked.get("transmission"), asked.get("transmission"), asked.get("seats", 0)),
    ).fetchall()
    free = [row for row in found if not _taken(db, row["vehicle_id"], asked["pickup_date"], asked["dropoff_date"])]
    return {"vehicles": [{"model": row["model"], "usd_a_day": row["usd_a_day"]} for row in free[:3]]}


def estimate_rental_cost(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Days times the rate of the class, with cover and kilometres where asked for."""
    usd = asked["days"] * (USD_A_DAY[asked["vehicle_class"]] + USD_COVER_A_DAY * asked.get("full_cover", False))
    return {"usd": round(usd + USD_A_KM * asked.get("kilometers", 0))}


def get_rental(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    row = _rental(db, asked["rental_id"])
    vehicle = db.execute("SELECT model FROM vehicles WHERE vehicle_id = ?", (row["vehicle_id"],)).fetchone()
    return {"state": row["state"], "model": vehicle["model"], "pickup_date": row["pickup_date"], "days": row["days"]}


def reserve_rental_vehicle(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """A new rental; the driver is entered where not known."""
    vehicle = db.execute("SELECT * FROM vehicles WHERE lower(model) = lower(?)", (asked["model"],)).fetchone()
    if vehicle is None:
        raise ToolError(f"no vehicle {asked['model']}")
    first, days, driver = asked["pickup_date"], asked["days"], asked["driver"]
    last = (date.fromisoformat(first) + timedelta(days=days)).isoformat()
    if _taken(db, vehicle["vehicle_id"], first, last):
        raise ToolError(f"{vehicle['model']} is taken on these days")
    db.execute("INSERT INTO drivers VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (driver["name"], driver["age"]))
    rental = made_id("RN", driver["name"], vehicle["model"], first, days)
    db.execute(
        "INSERT INTO rentals (rental_id, driver, vehicle_id, pickup_date, days, prepaid, state) "
        "VALUES (?, ?, ?, ?, ?, ?, 'reserved')",
        (rental, driver["name"], vehicle["vehicle_id"], first, days, int(asked.get("prepaid", False))),
    )
    return {"reservation_id": rental, "usd": vehicle["usd_a_day"] * days}


def extend_rental(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    row = _rental(db, asked["rental_id"], "reserved", "running")
    days = row["days"] + asked["extra_days"]
    db.execute("UPDATE rentals SET days = ? WHERE rental_id = ?", (days, row["rental_id"]))
    db.execute("INSERT INTO extensions VALUES (?, ?, ?)", (row["rental_id"], asked["extra_days"], asked.get("reason")))
    until = date.fromisoformat(row["pickup_date"]) + timedelta(days=days)
    return {"ok": True, "until": until.isoformat()}


def add_rental_extras(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    row = _rental(db, asked["reservation_id"], "reserved", "running")
    db.execute(
        "INSERT INTO extras VALUES (?, ?, ?) ON CONFLICT (rental_id, extra) "
        "DO UPDATE SET quantity = quantity + excluded.quantity",
        (row["rental_id"], asked["extra"], asked["quantity"]),
    )
    return {"ok": True, "usd_a_day": USD_EXTRA_A_DAY[asked["extra"]] * asked["quantity"]}


def cancel_rental(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Cancels whatever is not over yet: that a running rental stays is for the policy to say."""
    row = _rental(db, asked["reservation_id"], "reserved", "running")
    db.execute("UPDATE rentals SET state = 'cancelled' WHERE rental_id = ?", (row["rental_id"],))
    if "email" in asked:
        db.execute("INSERT INTO notices VALUES (?, ?)", (row["rental_id"], asked["email"]))
    return {"ok": True, "state": "cancelled"}


def return_rental_vehicle(db: sqlite3.Connection, asked: dict[str, Any]) -> dict[str, Any]:
    row = _rental(db, asked["rental_id"], "running")
    db.execute(
        "UPDATE rentals SET state = 'returned', odometer = ?, fuel = ? WHERE rental_id = ?",
        (asked["odometer"], asked["fuel"], row["rental_id"]),
    )
    for part in dict.fromkeys(asked.get("damage", ())):
        db.execute("INSERT INTO damages VALUES (?, ?)", (row["rental_id"], part))
    return {"ok": True, "state": "returned"}


def _rental(db: sqlite3.Connection, rental_id: str, *states: str) -> sqlite3.Row:
    """A rental, in one of `states` if any are given."""
    row = db.execute("SELECT * FROM rentals WHERE rental_id = ?", (rental_id,)).fetchone()
    if row is None:
        raise ToolError(f"no rental {rental_id}")
    if states and row["state"] not in states:
        raise ToolError(f"{rental_id} is {row['state']}")
    return row


def _taken(db: sqlite3.Connection, vehicle_id: str, first: str, last: str) -> bool:
    """Whether a rental that is not over holds the vehicle on a day from `first` to before `last`."""
    query = (
        "SELECT 1 FROM rentals WHERE vehicle_id = ? AND state IN ('reserved', 'running') "
        "AND pickup_date < ? AND date(pickup_date, '+' || days || ' days') > ?"
    )
    return db.execute(query, (vehicle_id, last, first)).fetchone() is not None


RUNS = (
    search_rental_vehicles,
    estimate_rental_cost,
    get_rental,
    reserve_rental_vehicle,
    extend_rental,
    add_rental_extras,
    cancel_rental,
    return_rental_vehicle,
)
DOMAIN = Domain(
    "car_rental",
    (folder() / "car_rental.sql").read_text(encoding="utf-8"),
    populate,
    tuple(bind("car_rental", {run.__name__: run for run in RUNS})),
)
