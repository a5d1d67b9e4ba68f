-- What SQLite receives through aiosqlite. Written by `make sql`, compared by tests/sql.
-- Each ? is a parameter. now_us is the time in microseconds since 1970 UTC:
--     CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000

-- load
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- create
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (?, (now_us + ?), ?, now_us, now_us, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- create, if an expired session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (?, (now_us + ?), ?, now_us, now_us, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- create, if a live session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (?, (now_us + ?), ?, now_us, now_us, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- update
UPDATE sessionstore_sessions
SET deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- update_ttl
UPDATE sessionstore_sessions
SET deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- delete
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- delete, if the session is expired
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

SELECT sessionstore_sessions.deadline - now_us AS anon_1,
    sessionstore_sessions.created
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.created IS ?;

-- change_id
UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- change_id, if an expired session has the new id
UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline <= now_us;

UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- change_id, if a live session has the new id
UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

UPDATE sessionstore_sessions
SET id=?, seen=now_us
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- change_id to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- delete_expired
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT expired.id
    FROM (
        SELECT sessionstore_sessions.id AS id, sessionstore_sessions.deadline AS
            deadline
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
        AND sessionstore_sessions.deadline <= now_us
        ORDER BY sessionstore_sessions.expiry_bucket
        LIMIT ? OFFSET ?
    ) AS expired
    ORDER BY expired.deadline
    LIMIT ? OFFSET ?
)
AND sessionstore_sessions.deadline <= now_us;

-- delete_expired_exclusively
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT expired.id
    FROM (
        SELECT sessionstore_sessions.id AS id, sessionstore_sessions.deadline AS
            deadline
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
        AND sessionstore_sessions.deadline <= now_us
        ORDER BY sessionstore_sessions.expiry_bucket
        LIMIT ? OFFSET ?
    ) AS expired
    ORDER BY expired.deadline
    LIMIT ? OFFSET ?
)
AND sessionstore_sessions.deadline <= now_us;

-- count_expired
SELECT (
    SELECT count(*) AS count_1
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.expiry_bucket < (now_us >> 28)
) + (
    SELECT count(*) AS count_1
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.expiry_bucket = (now_us >> 28)
    AND sessionstore_sessions.deadline <= now_us
) AS anon_1;

-- load of two sessions in one batch
SELECT sessionstore_sessions.id, sessionstore_sessions.state,
    sessionstore_sessions.deadline - now_us AS anon_1
FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions_given.id
    FROM (
        SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ?
            + ?, ?) AS new_id, json_extract(layout.value, ?) AS ttl,
            coalesce(substr(?, json_extract(layout.value, ?),
            json_extract(layout.value, ?)), x'') AS state,
            json_extract(layout.value, ?) AS expected, json_extract(layout.value, ?)
            AS version, json_extract(layout.value, ?) AS idle_ttl
        FROM json_each(?) AS layout
    ) AS sessionstore_sessions_given
)
AND sessionstore_sessions.deadline > now_us;

-- load_session of two sessions in one batch
SELECT sessionstore_sessions.id, sessionstore_sessions.state,
    sessionstore_sessions.deadline - now_us AS anon_1,
    sessionstore_sessions.subject, sessionstore_sessions.handle, now_us -
    sessionstore_sessions.authenticated AS anon_2,
    sessionstore_sessions.final_deadline - now_us AS anon_3,
    sessionstore_sessions.version, sessionstore_sessions.idle_ttl,
    sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions_given.id
    FROM (
        SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ?
            + ?, ?) AS new_id, json_extract(layout.value, ?) AS ttl,
            coalesce(substr(?, json_extract(layout.value, ?),
            json_extract(layout.value, ?)), x'') AS state,
            json_extract(layout.value, ?) AS expected, json_extract(layout.value, ?)
            AS version, json_extract(layout.value, ?) AS idle_ttl
        FROM json_each(?) AS layout
    ) AS sessionstore_sessions_given
)
AND sessionstore_sessions.deadline > now_us;

-- live of two sessions in one batch
SELECT sessionstore_sessions.id
FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions_given.id
    FROM (
        SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ?
            + ?, ?) AS new_id, json_extract(layout.value, ?) AS ttl,
            coalesce(substr(?, json_extract(layout.value, ?),
            json_extract(layout.value, ?)), x'') AS state,
            json_extract(layout.value, ?) AS expected, json_extract(layout.value, ?)
            AS version, json_extract(layout.value, ?) AS idle_ttl
        FROM json_each(?) AS layout
    ) AS sessionstore_sessions_given
)
AND sessionstore_sessions.deadline > now_us;

-- create of two sessions in one batch
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
SELECT sessionstore_sessions_given.id, now_us + sessionstore_sessions_given.ttl AS
    anon_1, sessionstore_sessions_given.state, now_us AS anon_2, now_us AS anon_3, ?
    AS anon_4
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions_given.id IS NOT NULL
ORDER BY sessionstore_sessions_given.id
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us
RETURNING id;

-- update of two sessions in one batch
UPDATE sessionstore_sessions
SET deadline=min(now_us + sessionstore_sessions_given.ttl,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=sessionstore_sessions_given.state, seen=now_us,
    version=sessionstore_sessions_given.version
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
RETURNING id;

-- update_if of two sessions in one batch
UPDATE sessionstore_sessions
SET deadline=min(now_us + sessionstore_sessions_given.ttl,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=sessionstore_sessions_given.state, seen=now_us, idle_ttl=CASE WHEN
    (sessionstore_sessions_given.idle_ttl = -1) THEN sessionstore_sessions.idle_ttl
    WHEN (sessionstore_sessions_given.idle_ttl = 0) THEN NULL ELSE
    sessionstore_sessions_given.idle_ttl END,
    version=sessionstore_sessions_given.version
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
AND (sessionstore_sessions_given.expected = -1 OR
    coalesce(sessionstore_sessions.version, 0) IN
    (sessionstore_sessions_given.expected, sessionstore_sessions_given.version))
RETURNING id;

-- change_id of two sessions in one batch
UPDATE sessionstore_sessions
SET id=sessionstore_sessions_given.new_id, seen=now_us
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
RETURNING id;

-- sign_in without a session, of two sessions in one batch
INSERT INTO sessionstore_sessions (id, deadline, state, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about, subject)
SELECT sessionstore_sessions_given.id, now_us + sessionstore_sessions_given.ttl AS
    anon_1, sessionstore_sessions_given.state, sessionstore_sessions_given.handle,
    now_us AS anon_2, now_us AS anon_3, now_us AS anon_4, now_us +
    sessionstore_sessions_given.lifetime AS anon_5, CASE WHEN
    (sessionstore_sessions_given.idle_ttl > 0) THEN
    sessionstore_sessions_given.idle_ttl ELSE NULL END AS anon_6,
    sessionstore_sessions_given.version, sessionstore_sessions_given.about,
    sessionstore_sessions_given.digest_0
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl, substr(?,
        json_extract(layout.value, ?) + 0, 16) AS handle, substr(?,
        json_extract(layout.value, ?) + 48, json_extract(layout.value, ?)) AS about,
        json_extract(layout.value, ?) AS keeps_about, json_extract(layout.value, ?)
        AS lifetime, substr(?, json_extract(layout.value, ?) + 16, 32) AS digest_0
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions_given.id IS NOT NULL
ORDER BY sessionstore_sessions_given.id
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us
RETURNING id;

-- sign_in of two sessions in one batch
UPDATE sessionstore_sessions
SET id=sessionstore_sessions_given.new_id, deadline=(now_us +
    sessionstore_sessions_given.ttl), state=sessionstore_sessions_given.state,
    subject=sessionstore_sessions_given.digest_0, handle=CASE WHEN
    (sessionstore_sessions.subject IN (sessionstore_sessions_given.digest_0)) THEN
    sessionstore_sessions.handle ELSE sessionstore_sessions_given.handle END,
    created=CASE WHEN (sessionstore_sessions.subject IN
    (sessionstore_sessions_given.digest_0)) THEN sessionstore_sessions.created ELSE
    now_us END, authenticated=now_us, seen=now_us, final_deadline=(now_us +
    sessionstore_sessions_given.lifetime), idle_ttl=CASE WHEN
    (sessionstore_sessions_given.idle_ttl = 0) THEN NULL WHEN
    (sessionstore_sessions_given.idle_ttl != -1) THEN
    sessionstore_sessions_given.idle_ttl WHEN (sessionstore_sessions.subject IS NULL
    OR sessionstore_sessions.subject IN (sessionstore_sessions_given.digest_0)) THEN
    sessionstore_sessions.idle_ttl ELSE NULL END,
    version=sessionstore_sessions_given.version, about=CASE WHEN
    (sessionstore_sessions_given.keeps_about = 1 AND sessionstore_sessions.subject
    IN (sessionstore_sessions_given.digest_0)) THEN sessionstore_sessions.about ELSE
    sessionstore_sessions_given.about END
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl, substr(?,
        json_extract(layout.value, ?) + 0, 16) AS handle, substr(?,
        json_extract(layout.value, ?) + 48, json_extract(layout.value, ?)) AS about,
        json_extract(layout.value, ?) AS keeps_about, json_extract(layout.value, ?)
        AS lifetime, substr(?, json_extract(layout.value, ?) + 16, 32) AS digest_0
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
AND (sessionstore_sessions_given.expected = -1 OR
    coalesce(sessionstore_sessions.version, 0) IN
    (sessionstore_sessions_given.expected, sessionstore_sessions_given.version))
RETURNING id, handle;

-- replace of two sessions in one batch
UPDATE sessionstore_sessions
SET id=sessionstore_sessions_given.new_id, deadline=min(now_us +
    sessionstore_sessions_given.ttl, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=sessionstore_sessions_given.state, seen=now_us,
    idle_ttl=CASE WHEN (sessionstore_sessions_given.idle_ttl = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (sessionstore_sessions_given.idle_ttl = 0)
    THEN NULL ELSE sessionstore_sessions_given.idle_ttl END,
    version=sessionstore_sessions_given.version
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
AND (sessionstore_sessions_given.expected = -1 OR
    coalesce(sessionstore_sessions.version, 0) IN
    (sessionstore_sessions_given.expected, sessionstore_sessions_given.version))
RETURNING id;

-- update_ttl of two sessions in one batch
UPDATE sessionstore_sessions
SET deadline=min(now_us + sessionstore_sessions_given.ttl,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    seen=now_us
FROM (
    SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ? + ?,
        ?) AS new_id, json_extract(layout.value, ?) AS ttl, coalesce(substr(?,
        json_extract(layout.value, ?), json_extract(layout.value, ?)), x'') AS
        state, json_extract(layout.value, ?) AS expected, json_extract(layout.value,
        ?) AS version, json_extract(layout.value, ?) AS idle_ttl
    FROM json_each(?) AS layout
) AS sessionstore_sessions_given
WHERE sessionstore_sessions.id = sessionstore_sessions_given.id
AND sessionstore_sessions.deadline > now_us
RETURNING id;

-- delete of two sessions in one batch
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions_given.id
    FROM (
        SELECT substr(?, layout."key" * ? + ?, ?) AS id, substr(?, layout."key" * ?
            + ?, ?) AS new_id, json_extract(layout.value, ?) AS ttl,
            coalesce(substr(?, json_extract(layout.value, ?),
            json_extract(layout.value, ?)), x'') AS state,
            json_extract(layout.value, ?) AS expected, json_extract(layout.value, ?)
            AS version, json_extract(layout.value, ?) AS idle_ttl
        FROM json_each(?) AS layout
    ) AS sessionstore_sessions_given
)
AND sessionstore_sessions.deadline > now_us
RETURNING id;

-- collect_statistics
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS BIGINT) AS
    deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT ? OFFSET ?;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

SELECT length(sessionstore_sessions.state) AS length_1
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT ? OFFSET ?;

SELECT CASE WHEN (sessionstore_sessions.subject IS NOT NULL) THEN ? ELSE ? END AS
    is_signed_in, substr(sessionstore_sessions.state, ?, ?) AS header
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT ? OFFSET ?;

PRAGMA page_size;

PRAGMA page_count;

PRAGMA freelist_count;

-- collect_activity
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS BIGINT) AS
    deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT ? OFFSET ?;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

-- load_session
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1, sessionstore_sessions.subject, sessionstore_sessions.handle, now_us -
    sessionstore_sessions.authenticated AS anon_2,
    sessionstore_sessions.final_deadline - now_us AS anon_3,
    sessionstore_sessions.version, sessionstore_sessions.idle_ttl,
    sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- update_if
UPDATE sessionstore_sessions
SET deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, idle_ttl=CASE WHEN (? = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (? = 0) THEN NULL ELSE ? END, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN (?, ?);

-- update_if, if another state was stored
UPDATE sessionstore_sessions
SET deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, idle_ttl=CASE WHEN (? = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (? = 0) THEN NULL ELSE ? END, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN (?, ?);

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- replace
UPDATE sessionstore_sessions
SET id=?, deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, idle_ttl=CASE WHEN (? = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (? = 0) THEN NULL ELSE ? END, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND (? = -1 OR coalesce(sessionstore_sessions.version, 0) IN (?, ?));

-- replace, if a live session has the new id
UPDATE sessionstore_sessions
SET id=?, deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, idle_ttl=CASE WHEN (? = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (? = 0) THEN NULL ELSE ? END, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND (? = -1 OR coalesce(sessionstore_sessions.version, 0) IN (?, ?));

UPDATE sessionstore_sessions
SET id=?, deadline=min(now_us + ?, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=?, seen=now_us, idle_ttl=CASE WHEN (? = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (? = 0) THEN NULL ELSE ? END, version=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND (? = -1 OR coalesce(sessionstore_sessions.version, 0) IN (?, ?));

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.version = ?;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- replace by the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- sign_in without a session
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (?, (now_us + ?), ?, ?, ?, now_us, now_us, now_us, (now_us + ?), ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- sign_in without a session, if an expired session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (?, (now_us + ?), ?, ?, ?, now_us, now_us, now_us, (now_us + ?), ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- sign_in from a session
UPDATE sessionstore_sessions
SET id=?, deadline=(now_us + ?), state=?, handle=CASE WHEN
    (sessionstore_sessions.subject IN (?)) THEN sessionstore_sessions.handle ELSE ?
    END, created=CASE WHEN (sessionstore_sessions.subject IN (?)) THEN
    sessionstore_sessions.created ELSE now_us END, authenticated=now_us,
    seen=now_us, final_deadline=(now_us + ?), idle_ttl=CASE WHEN (? = 0) THEN NULL
    WHEN (? != -1) THEN ? WHEN (sessionstore_sessions.subject IS NULL OR
    sessionstore_sessions.subject IN (?)) THEN sessionstore_sessions.idle_ttl ELSE
    NULL END, version=?, about=CASE WHEN (? = 1 AND sessionstore_sessions.subject IN
    (?)) THEN sessionstore_sessions.about ELSE ? END, subject=?
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us
AND (? = -1 OR coalesce(sessionstore_sessions.version, 0) IN (?, ?));

SELECT sessionstore_sessions.handle
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.version = ?;

-- sign_in to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?
AND sessionstore_sessions.deadline > now_us;

-- sign_in with a limit
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (?, (now_us + ?), ?, ?, ?, now_us, now_us, now_us, (now_us + ?), ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.deadline > now_us
AND (sessionstore_sessions.created, sessionstore_sessions.handle = ?,
    sessionstore_sessions.handle) < (
    SELECT sessionstore_sessions.created, sessionstore_sessions.handle = ? AS
        anon_1, sessionstore_sessions.handle
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN (?)
    AND sessionstore_sessions.deadline > now_us
    ORDER BY sessionstore_sessions.created DESC, sessionstore_sessions.handle = ?
        DESC, sessionstore_sessions.handle DESC
    LIMIT ? OFFSET ?
)
RETURNING handle;

-- sessions_of
SELECT sessionstore_sessions.handle, sessionstore_sessions.created,
    coalesce(sessionstore_sessions.seen, sessionstore_sessions.created) AS
    coalesce_1, sessionstore_sessions.authenticated, sessionstore_sessions.deadline,
    sessionstore_sessions.final_deadline, sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.deadline > now_us
ORDER BY sessionstore_sessions.seen DESC, sessionstore_sessions.created DESC,
    sessionstore_sessions.handle
LIMIT ? OFFSET ?;

-- revoke
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.handle IS NOT ?
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN (?)
        AND sessionstore_sessions.handle IS NOT ?
        LIMIT ? OFFSET ?
    ) AS some
) <= ?
RETURNING handle;

-- revoke, if there is no session
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.handle IS NOT ?
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN (?)
        AND sessionstore_sessions.handle IS NOT ?
        LIMIT ? OFFSET ?
    ) AS some
) <= ?
RETURNING handle;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions.id
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN (?)
    AND sessionstore_sessions.handle IS NOT ?
    LIMIT ? OFFSET ?
)
RETURNING handle;

-- revoke only one
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.handle = ?
RETURNING handle;

-- revoke all but one
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.handle IS NOT ?
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN (?)
        AND sessionstore_sessions.handle IS NOT ?
        LIMIT ? OFFSET ?
    ) AS some
) <= ?
RETURNING handle;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions.id
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN (?)
    AND sessionstore_sessions.handle IS NOT ?
    LIMIT ? OFFSET ?
)
RETURNING handle;

-- sign_out
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?;

-- sign_out of a session that was rotated
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ?;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (?)
AND sessionstore_sessions.handle = ?
RETURNING handle;
