CREATE TABLE vehicles (
    vehicle_id TEXT PRIMARY KEY, model TEXT NOT NULL UNIQUE, city TEXT NOT NULL,
    class TEXT NOT NULL CHECK (class IN ('small', 'medium', 'large', 'luxury', 'minibus')),
    transmission TEXT NOT NULL CHECK (transmission IN ('manual', 'automatic')),
    seats INTEGER NOT NULL, usd_a_day INTEGER NOT NULL CHECK (usd_a_day > 0)
);
CREATE TABLE drivers (name TEXT PRIMARY KEY, age INTEGER NOT NULL CHECK (age BETWEEN 16 AND 110));
CREATE TABLE rentals (
    rental_id TEXT PRIMARY KEY,
    driver TEXT NOT NULL REFERENCES drivers (name),
    vehicle_id TEXT NOT NULL REFERENCES vehicles (vehicle_id),
    pickup_date TEXT NOT NULL, days INTEGER NOT NULL CHECK (days BETWEEN 1 AND 90),
    prepaid INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'running', 'returned', 'cancelled')),
    odometer INTEGER, fuel TEXT
);
CREATE TABLE extensions (
    rental_id TEXT NOT NULL REFERENCES rentals (rental_id), extra_days INTEGER NOT NULL CHECK (extra_days > 0), reason TEXT
);
CREATE TABLE extras (
    rental_id TEXT NOT NULL REFERENCES rentals (rental_id),
    extra TEXT NOT NULL CHECK (extra IN ('child_seat', 'gps', 'snow_chains', 'roof_box', 'wifi')),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (rental_id, extra)
);
CREATE TABLE damages (rental_id TEXT NOT NULL REFERENCES rentals (rental_id), part TEXT NOT NULL, PRIMARY KEY (rental_id, part));
CREATE TABLE notices (rental_id TEXT NOT NULL REFERENCES rentals (rental_id), email TEXT NOT NULL);
