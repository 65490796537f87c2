-- Version 1 of the store. Journals, numbers and gaps are those of docs/protocol.md.

CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    eui64 BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    site TEXT NOT NULL
) STRICT;

-- Every number of a journal below next_seq is in packs, was in packs until it was delivered, or is
-- in gaps.
CREATE TABLE journals (
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    journal INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    PRIMARY KEY (node_id, journal)
) STRICT, WITHOUT ROWID;

-- A pack's body is kept as it came. This row stands for count of its records from the skip-th on,
-- which have the numbers from first on. AUTOINCREMENT, so that an id is never used again and a
-- cursor stays right when the newest rows have been deleted.
CREATE TABLE packs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    journal INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    skip INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- reason is one of the node's own (1 to 4), 0 while the numbers were merely never seen and may
-- still come, or 5 where a stored pack turned out to be unreadable.
CREATE TABLE gaps (
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    journal INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    noted_ms INTEGER NOT NULL,
    PRIMARY KEY (node_id, journal, first)
) STRICT, WITHOUT ROWID;

-- OSCORE state of one key. window_index is NULL while there is no replay window. Sender sequence
-- numbers below sender_reserved may have been used.
CREATE TABLE oscore (
    key_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    window_index INTEGER,
    window_bits INTEGER,
    sender_reserved INTEGER NOT NULL,
    PRIMARY KEY (key_id, fingerprint)
) STRICT, WITHOUT ROWID;

-- The destination has every pack up to pack_id.
CREATE TABLE cursors (
    destination TEXT NOT NULL PRIMARY KEY,
    pack_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
