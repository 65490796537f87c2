-- Version 3: destinations that take new readings while their backlog drains, and that may refuse.

-- The destination has, beside every pack up to its cursor, those after after_id up to upto_id.
CREATE TABLE ahead (
    destination TEXT NOT NULL,
    after_id INTEGER NOT NULL,
    upto_id INTEGER NOT NULL,
    PRIMARY KEY (destination, after_id)
) STRICT, WITHOUT ROWID;

-- Where a destination was told to begin, so that the same order is not carried out twice. left_id is
-- the cursor of one that is not in the configuration any more, whose row in cursors is gone.
CREATE TABLE begun (
    destination TEXT NOT NULL PRIMARY KEY,
    asked TEXT NOT NULL,
    left_id INTEGER
) STRICT, WITHOUT ROWID;

-- What a destination refused for good: numbers of a pack, as ranges such as 40-43,47. It goes with
-- its pack, which is kept for it beyond the retention time.
CREATE TABLE dead_letters (
    pack_id INTEGER NOT NULL REFERENCES packs (id) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    seqs TEXT NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    noted_ms INTEGER NOT NULL,
    PRIMARY KEY (pack_id, destination, seqs)
) STRICT, WITHOUT ROWID;
