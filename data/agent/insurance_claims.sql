CREATE TABLE policies (policy_number TEXT PRIMARY KEY, holder TEXT NOT NULL, item TEXT NOT NULL);
CREATE TABLE coverages (
    policy_number TEXT NOT NULL REFERENCES policies (policy_number),
    peril TEXT NOT NULL CHECK (peril IN ('flood', 'hail', 'burglary', 'vandalism', 'lightning', 'earthquake')),
    limit_usd INTEGER NOT NULL CHECK (limit_usd > 0), excess_usd INTEGER NOT NULL,
    PRIMARY KEY (policy_number, peril)
);
CREATE TABLE claims (
    claim_id TEXT PRIMARY KEY,
    policy_number TEXT NOT NULL REFERENCES policies (policy_number),
    cause TEXT NOT NULL CHECK (cause IN ('fire', 'theft', 'water', 'storm', 'collision')),
    incident_date TEXT NOT NULL, estimated_loss REAL,
    state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'refused', 'paid', 'withdrawn', 'appealed')),
    offer_usd INTEGER, withdrawn_because TEXT
);
CREATE TABLE documents (
    claim_id TEXT NOT NULL REFERENCES claims (claim_id), file TEXT NOT NULL, kind TEXT, PRIMARY KEY (claim_id, file)
);
CREATE TABLE inspections (
    claim_id TEXT PRIMARY KEY REFERENCES claims (claim_id),
    street TEXT NOT NULL, city TEXT NOT NULL, postcode TEXT, date TEXT NOT NULL, time TEXT NOT NULL
);
CREATE TABLE appeals (claim_id TEXT PRIMARY KEY REFERENCES claims (claim_id), argument TEXT NOT NULL, demanded_amount REAL);
CREATE TABLE payouts (
    claim_id TEXT PRIMARY KEY REFERENCES claims (claim_id),
    method TEXT NOT NULL CHECK (method IN ('bank', 'cheque', 'repair_shop')), payee TEXT NOT NULL, notify INTEGER NOT NULL DEFAULT 0
);
