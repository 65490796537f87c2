-- Version 6: mailboxes. What a node fetches itself.

-- The node's newest key, of that id, is one that it is to fetch under an older one. The row goes
-- when the key has been used, and when any of the node's keys is taken away.
CREATE TABLE mail (
    node_id INTEGER PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    key_id BLOB NOT NULL
) STRICT;
