-- Version 2: rows that can be checked, journals that know what was deleted, reports of the nodes.

-- "FPst", so that other programs' files are told from ours.
PRAGMA application_id = 0x46507374;

-- A CRC-32 of the row (`pack_checksum`), so that a flipped bit is never taken for a reading.
ALTER TABLE packs ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE packs
SET checksum = pack_checksum(node_id, journal, first, count, skip, received_ms, body);

-- Every number from kept_from up to next_seq is in packs or in gaps; those below were delivered and
-- deleted, save what came late. Made anew, so that every row has all columns.
CREATE TABLE journals_2 (
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    journal INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    kept_from INTEGER NOT NULL,
    PRIMARY KEY (node_id, journal)
) STRICT, WITHOUT ROWID;
INSERT INTO journals_2
SELECT node_id, journal, next_seq, coalesce(lowest, next_seq) FROM journals LEFT JOIN
    (SELECT node_id, journal, min(first) AS lowest FROM packs GROUP BY node_id, journal)
    USING (node_id, journal);
DROP TABLE journals;
ALTER TABLE journals_2 RENAME TO journals;

-- gaps.reason may now be 6, given up for want of room, or 7, lost when the store was damaged.

-- What a node said of itself after a boot, as it came. The newest reports are those with the
-- highest id.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id INTEGER NOT NULL REFERENCES nodes (id),
    boot INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (node_id, boot)
) STRICT;
