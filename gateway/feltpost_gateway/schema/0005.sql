-- Version 5: what is wrong and since when, who was heard from, and how many readings came each day.

-- What is wrong at present. node_id is NULL where it is the gateway itself; part is the sensor, the
-- destination or the file that it is about, empty where there is only one. value is what was found,
-- in a form that depends on the kind (events.py). A row goes when what was wrong is right again.
CREATE TABLE events (
    kind TEXT NOT NULL,
    node_id INTEGER REFERENCES nodes (id) ON DELETE CASCADE,
    part TEXT NOT NULL,
    since_ms INTEGER,
    value TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_subject ON events (kind, ifnull(node_id, 0), part);

-- When a node was last heard from, and the time that usually passes between two contacts, NULL
-- while it is not known. Written now and then, not at each contact.
CREATE TABLE contacts (
    node_id INTEGER PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    last_ms INTEGER NOT NULL,
    interval_ms INTEGER
) STRICT;

-- How many readings came on a day, by the gateway's own calendar, and in which packs. given_up are
-- those of them that were deleted before every destination had them.
CREATE TABLE days (
    day TEXT NOT NULL,
    node_id INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    arrived INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    first_pack INTEGER NOT NULL,
    last_pack INTEGER NOT NULL,
    PRIMARY KEY (day, node_id)
) STRICT, WITHOUT ROWID;

-- Packs up to this one are in days.
CREATE TABLE counted (pack_id INTEGER NOT NULL) STRICT;
INSERT INTO counted VALUES (0);

-- Whatever deletes a pack, it has been counted.
CREATE TRIGGER packs_deleted BEFORE DELETE ON packs
WHEN EXISTS (SELECT 1 FROM nodes WHERE id = OLD.node_id) BEGIN
    INSERT INTO days
    SELECT
        date(OLD.received_ms / 1000, 'unixepoch', 'localtime'),
        OLD.node_id,
        iif(OLD.id > (SELECT max(pack_id) FROM counted), OLD.count, 0),
        iif(OLD.id > (SELECT min(pack_id) FROM cursors), OLD.count, 0),
        OLD.id,
        OLD.id
    WHERE OLD.id > (SELECT max(pack_id) FROM counted)
        OR OLD.id > (SELECT min(pack_id) FROM cursors)
    ON CONFLICT (day, node_id) DO UPDATE SET
        arrived = arrived + excluded.arrived,
        given_up = given_up + excluded.given_up,
        first_pack = min(first_pack, excluded.first_pack),
        last_pack = max(last_pack, excluded.last_pack);
END;
