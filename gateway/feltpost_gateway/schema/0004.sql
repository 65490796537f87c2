-- Version 4: the registry. Who the nodes are, their keys, their owners, what may be published.

-- setting is indoor, outdoor or water. metrics and classes are separated by blanks; a class is
-- metric=class, and * stands for all metrics that are not named. declared_in is 'file' for a node
-- of the configuration file's, 'registry' for one that operators keep here, and 'lost' where a
-- salvage found nothing but its address. Of two copies of a row, the one with the higher revision
-- is the newer.
ALTER TABLE nodes ADD COLUMN setting TEXT NOT NULL DEFAULT 'indoor';
ALTER TABLE nodes ADD COLUMN room TEXT;
ALTER TABLE nodes ADD COLUMN latitude REAL;
ALTER TABLE nodes ADD COLUMN longitude REAL;
ALTER TABLE nodes ADD COLUMN elevation_m REAL;
ALTER TABLE nodes ADD COLUMN kit TEXT;
ALTER TABLE nodes ADD COLUMN metrics TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN classes TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN declared_in TEXT NOT NULL DEFAULT 'file';
ALTER TABLE nodes ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- Written anew, so that every row has all columns.
UPDATE nodes SET revision = 0;

-- OSCORE master secrets. A revoked key's row stays without the secret, so that no older copy of it
-- can be taken for valid.
CREATE TABLE node_keys (
    key_id BLOB NOT NULL PRIMARY KEY,
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    key BLOB,
    since_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
    name TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    contact TEXT NOT NULL,
    email TEXT NOT NULL,
    licence TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The class of a metric wherever a node has no class of its own for it.
CREATE TABLE metric_classes (
    metric TEXT NOT NULL PRIMARY KEY,
    class TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What people did to a node. A calibration has its metric, what the node measured and what was true.
CREATE TABLE node_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    metric TEXT,
    measured REAL,
    reference REAL,
    note TEXT NOT NULL
) STRICT;
