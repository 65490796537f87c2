-- Version 7: what a destination has ahead of its backlog was not given up when it is deleted.

DROP TRIGGER packs_deleted;
CREATE TRIGGER packs_deleted BEFORE DELETE ON packs
WHEN EXISTS (SELECT 1 FROM nodes WHERE id = OLD.node_id) BEGIN
    INSERT INTO days
    SELECT
        date(OLD.received_ms / 1000, 'unixepoch', 'localtime'),
        OLD.node_id,
        iif(is_uncounted, OLD.count, 0),
        iif(is_given_up, OLD.count, 0),
        OLD.id,
        OLD.id
    FROM (
        SELECT
            OLD.id > (SELECT max(pack_id) FROM counted) AS is_uncounted,
            EXISTS (
                SELECT 1 FROM cursors WHERE OLD.id > pack_id AND NOT EXISTS (
                    SELECT 1 FROM ahead
                    WHERE ahead.destination = cursors.destination
                        AND OLD.id > after_id AND OLD.id <= upto_id
                )
            ) AS is_given_up
    )
    WHERE is_uncounted OR is_given_up
    ON CONFLICT (day, node_id) DO UPDATE SET
        arrived = arrived + excluded.arrived,
        given_up = given_up + excluded.given_up,
        first_pack = min(first_pack, excluded.first_pack),
        last_pack = max(last_pack, excluded.last_pack);
END;
