-- What PostgreSQL receives through asyncpg. Written by `make sql`, compared by tests/sql.
-- Each of $1, $2 .. is a parameter. now_us is the time in microseconds since 1970 UTC:
--     CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)

-- load
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- create
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, now_us, now_us, $4::BIGINT)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- create, if an expired session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, now_us, now_us, $4::BIGINT)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- create, if a live session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, now_us, now_us, $4::BIGINT)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- update
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + $1::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=$2::BYTEA, seen=now_us, version=$3::BIGINT
WHERE sessionstore_sessions.id = $4::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- update_ttl
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + $1::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    seen=now_us
WHERE sessionstore_sessions.id = $2::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- delete
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- delete, if the session is expired
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us;

SELECT sessionstore_sessions.deadline - now_us AS anon_1,
    sessionstore_sessions.created
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.created IS NOT DISTINCT
FROM $2::BIGINT;

-- change_id
UPDATE sessionstore_sessions
SET id=$1::BYTEA, seen=now_us
WHERE sessionstore_sessions.id = $2::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- change_id, if an expired session has the new id
UPDATE sessionstore_sessions
SET id=$1::BYTEA, seen=now_us
WHERE sessionstore_sessions.id = $2::BYTEA
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline <= now_us;

UPDATE sessionstore_sessions
SET id=$1::BYTEA, seen=now_us
WHERE sessionstore_sessions.id = $2::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- change_id, if a live session has the new id
UPDATE sessionstore_sessions
SET id=$1::BYTEA, seen=now_us
WHERE sessionstore_sessions.id = $2::BYTEA
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- change_id to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- delete_expired
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = ANY (array((
    SELECT locked.id
    FROM (
        SELECT expired.id AS id
        FROM (
            SELECT sessionstore_sessions.id AS id, sessionstore_sessions.deadline AS
                deadline
            FROM sessionstore_sessions
            WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
            AND sessionstore_sessions.deadline <= now_us
            ORDER BY sessionstore_sessions.expiry_bucket
            LIMIT $1::BIGINT
        ) AS expired
        ORDER BY expired.deadline
    ) AS oldest
    JOIN LATERAL (
        SELECT row.id AS id
        FROM sessionstore_sessions AS row
        WHERE row.id = oldest.id
        AND row.deadline <= now_us
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    LIMIT $2::BIGINT
)))
AND sessionstore_sessions.deadline <= now_us;

-- delete_expired_exclusively
WITH sessionstore_sessions_turn AS (
    SELECT pg_try_advisory_xact_lock(1936029811, CAST(CAST($3::VARCHAR AS REGCLASS)
        AS INTEGER)) AS has_lock
), sessionstore_sessions_removed AS (
    DELETE FROM sessionstore_sessions
    WHERE sessionstore_sessions.id = ANY (array((
        SELECT locked.id
        FROM (
            SELECT expired.id AS id
            FROM (
                SELECT sessionstore_sessions.id AS id,
                    sessionstore_sessions.deadline AS deadline
                FROM sessionstore_sessions
                WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
                AND sessionstore_sessions.deadline <= now_us
                ORDER BY sessionstore_sessions.expiry_bucket
                LIMIT $1::BIGINT
            ) AS expired
            ORDER BY expired.deadline
        ) AS oldest
        JOIN LATERAL (
            SELECT row.id AS id
            FROM sessionstore_sessions AS row
            WHERE row.id = oldest.id
            AND row.deadline <= now_us
            FOR UPDATE SKIP LOCKED
        ) AS locked ON true
        LIMIT $2::BIGINT
    )))
    AND sessionstore_sessions.deadline <= now_us
    AND (
        SELECT sessionstore_sessions_turn.has_lock
        FROM sessionstore_sessions_turn
    )
    RETURNING 1
)
SELECT sessionstore_sessions_turn.has_lock, (
    SELECT count(*) AS count_1
    FROM sessionstore_sessions_removed
) AS anon_1
FROM sessionstore_sessions_turn;

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
SELECT string_agg(found.id, ''::bytea) AS string_agg_1, string_agg(found.state,
    ''::bytea) AS string_agg_2, array_agg(length(found.state)) AS array_agg_1,
    array_agg(found.anon_1) AS array_agg_2
FROM (
    SELECT sessionstore_sessions.id AS id, sessionstore_sessions.state AS state,
        sessionstore_sessions.deadline - now_us AS anon_1
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.id = ANY (array((
        SELECT SUBSTRING($1::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($1::BYTEA), 32) AS start
        ORDER BY start
    )))
    AND sessionstore_sessions.deadline > now_us
) AS found;

-- load_session of two sessions in one batch
SELECT string_agg(found.id, ''::bytea) AS string_agg_1, string_agg(found.state,
    ''::bytea) AS string_agg_2, string_agg(found.coalesce_1, ''::bytea) AS
    string_agg_3, array_agg(length(found.state)) AS array_agg_1,
    array_agg(length(found.coalesce_1)) AS array_agg_2, array_agg(found.anon_1) AS
    array_agg_3, array_agg(found.anon_2) AS array_agg_4, array_agg(found.anon_3) AS
    array_agg_5, array_agg(found.version) AS array_agg_6, array_agg(found.idle_ttl)
    AS array_agg_7
FROM (
    SELECT sessionstore_sessions.id AS id, sessionstore_sessions.state AS state,
        coalesce((sessionstore_sessions.subject || sessionstore_sessions.handle) ||
        coalesce(sessionstore_sessions.about, ''::bytea), ''::bytea) AS coalesce_1,
        sessionstore_sessions.deadline - now_us AS anon_1, now_us -
        sessionstore_sessions.authenticated AS anon_2,
        sessionstore_sessions.final_deadline - now_us AS anon_3,
        sessionstore_sessions.version AS version, sessionstore_sessions.idle_ttl AS
        idle_ttl
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.id = ANY (array((
        SELECT SUBSTRING($1::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($1::BYTEA), 32) AS start
        ORDER BY start
    )))
    AND sessionstore_sessions.deadline > now_us
) AS found;

-- live of two sessions in one batch
SELECT string_agg(found.id, ''::bytea) AS string_agg_1
FROM (
    SELECT sessionstore_sessions.id AS id
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.id = ANY (array((
        SELECT SUBSTRING($1::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($1::BYTEA), 32) AS start
        ORDER BY start
    )))
    AND sessionstore_sessions.deadline > now_us
) AS found;

-- create of two sessions in one batch
WITH sessionstore_sessions_changed AS (
    INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
    SELECT given.id AS id, now_us + coalesce(given.ttl, $1::BIGINT) AS anon_1,
        given.state AS state, now_us AS anon_2, now_us AS anon_3, $2::BIGINT AS
        anon_4
    FROM unnest(array((
        SELECT SUBSTRING($3::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($3::BYTEA), 32) AS start
        ORDER BY start
    )), $4::BIGINT[], $5::BYTEA[]) AS given(id, ttl, state)
    WHERE given.id IS NOT NULL
    ORDER BY given.id
    ON CONFLICT (id) DO UPDATE
    SET deadline = excluded.deadline, state = excluded.state, subject =
        excluded.subject, handle = excluded.handle, created = excluded.created,
        authenticated = excluded.authenticated, seen = excluded.seen, final_deadline
        = excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
        excluded.version, about = excluded.about
    WHERE sessionstore_sessions.deadline <= now_us
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- update of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, coalesce(given.ttl,
        $2::BIGINT) AS ttl, given.state AS state
    FROM unnest(array((
        SELECT SUBSTRING($3::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($3::BYTEA), 32) AS start
        ORDER BY start
    )), $4::BIGINT[], $5::BYTEA[]) AS given(id, ttl, state)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET deadline=LEAST(now_us + sessionstore_sessions_held.ttl,
        coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
        state=sessionstore_sessions_held.state, seen=now_us, version=$1::BIGINT
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- update_if of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, coalesce(given.ttl,
        $1::BIGINT) AS ttl, given.state AS state, given.expected AS expected,
        given.version AS version, given.idle_ttl AS idle_ttl
    FROM unnest(array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    )), $3::BIGINT[], $4::BYTEA[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[]) AS
        given(id, ttl, state, expected, version, idle_ttl)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        AND (given.expected = -1 OR coalesce(row.version, 0) IN (given.expected,
            given.version))
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET deadline=LEAST(now_us + sessionstore_sessions_held.ttl,
        coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
        state=sessionstore_sessions_held.state, seen=now_us, idle_ttl=CASE WHEN
        (sessionstore_sessions_held.idle_ttl = -1) THEN
        sessionstore_sessions.idle_ttl WHEN (sessionstore_sessions_held.idle_ttl =
        0) THEN NULL ELSE sessionstore_sessions_held.idle_ttl END,
        version=sessionstore_sessions_held.version
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- change_id of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, given.new_id AS new_id
    FROM unnest(array((
        SELECT SUBSTRING($1::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($1::BYTEA), 32) AS start
        ORDER BY start
    )), array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_2
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    ))) AS given(id, new_id)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET id=sessionstore_sessions_held.new_id, seen=now_us
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- sign_in without a session, of two sessions in one batch
WITH sessionstore_sessions_changed AS (
    INSERT INTO sessionstore_sessions (id, deadline, state, handle, created,
        authenticated, seen, final_deadline, idle_ttl, version, about, subject)
    SELECT given.id AS id, now_us + coalesce(given.ttl, $1::BIGINT) AS anon_1,
        given.state AS state, SUBSTRING(given.account FROM 1 FOR 16) AS substring_1,
        now_us AS anon_2, now_us AS anon_3, now_us AS anon_4, now_us +
        given.lifetime AS anon_5, CASE WHEN (given.idle_ttl > 0) THEN given.idle_ttl
        ELSE NULL END AS anon_6, given.version AS version, SUBSTRING(given.account
        FROM 49) AS substring_2, SUBSTRING(given.account FROM 17 FOR 32) AS
        substring_3
    FROM unnest(array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_4
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    )), $3::BIGINT[], $4::BYTEA[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[],
        $8::BYTEA[], $9::BIGINT[], $10::BIGINT[]) AS given(id, ttl, state, expected,
        version, idle_ttl, account, keeps_about, lifetime)
    WHERE given.id IS NOT NULL
    ORDER BY given.id
    ON CONFLICT (id) DO UPDATE
    SET deadline = excluded.deadline, state = excluded.state, subject =
        excluded.subject, handle = excluded.handle, created = excluded.created,
        authenticated = excluded.authenticated, seen = excluded.seen, final_deadline
        = excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
        excluded.version, about = excluded.about
    WHERE sessionstore_sessions.deadline <= now_us
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- sign_in of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, given.new_id AS new_id,
        coalesce(given.ttl, $1::BIGINT) AS ttl, given.state AS state, given.expected
        AS expected, given.version AS version, given.idle_ttl AS idle_ttl,
        given.account AS account, given.keeps_about AS keeps_about, given.lifetime
        AS lifetime
    FROM unnest(array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    )), array((
        SELECT SUBSTRING($3::BYTEA FROM start FOR 32) AS substring_2
        FROM generate_series(1, length($3::BYTEA), 32) AS start
        ORDER BY start
    )), $4::BIGINT[], $5::BYTEA[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[],
        $9::BYTEA[], $10::BIGINT[], $11::BIGINT[]) AS given(id, new_id, ttl, state,
        expected, version, idle_ttl, account, keeps_about, lifetime)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        AND (given.expected = -1 OR coalesce(row.version, 0) IN (given.expected,
            given.version))
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET id=sessionstore_sessions_held.new_id, deadline=(now_us +
        sessionstore_sessions_held.ttl), state=sessionstore_sessions_held.state,
        subject=SUBSTRING(sessionstore_sessions_held.account FROM 17 FOR 32),
        handle=CASE WHEN (sessionstore_sessions.subject IN
        (SUBSTRING(sessionstore_sessions_held.account FROM 17 FOR 32))) THEN
        sessionstore_sessions.handle ELSE
        SUBSTRING(sessionstore_sessions_held.account FROM 1 FOR 16) END,
        created=CASE WHEN (sessionstore_sessions.subject IN
        (SUBSTRING(sessionstore_sessions_held.account FROM 17 FOR 32))) THEN
        sessionstore_sessions.created ELSE now_us END, authenticated=now_us,
        seen=now_us, final_deadline=(now_us + sessionstore_sessions_held.lifetime),
        idle_ttl=CASE WHEN (sessionstore_sessions_held.idle_ttl = 0) THEN NULL WHEN
        (sessionstore_sessions_held.idle_ttl != -1) THEN
        sessionstore_sessions_held.idle_ttl WHEN (sessionstore_sessions.subject IS
        NULL OR sessionstore_sessions.subject IN
        (SUBSTRING(sessionstore_sessions_held.account FROM 17 FOR 32))) THEN
        sessionstore_sessions.idle_ttl ELSE NULL END,
        version=sessionstore_sessions_held.version, about=CASE WHEN
        (sessionstore_sessions_held.keeps_about = 1 AND
        sessionstore_sessions.subject IN
        (SUBSTRING(sessionstore_sessions_held.account FROM 17 FOR 32))) THEN
        sessionstore_sessions.about ELSE
        SUBSTRING(sessionstore_sessions_held.account FROM 49) END
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id, sessionstore_sessions.handle
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1,
    string_agg(sessionstore_sessions_changed.handle, ''::bytea) AS string_agg_2
FROM sessionstore_sessions_changed;

-- replace of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, given.new_id AS new_id,
        coalesce(given.ttl, $1::BIGINT) AS ttl, given.state AS state, given.expected
        AS expected, given.version AS version, given.idle_ttl AS idle_ttl
    FROM unnest(array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    )), array((
        SELECT SUBSTRING($3::BYTEA FROM start FOR 32) AS substring_2
        FROM generate_series(1, length($3::BYTEA), 32) AS start
        ORDER BY start
    )), $4::BIGINT[], $5::BYTEA[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[]) AS
        given(id, new_id, ttl, state, expected, version, idle_ttl)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        AND (given.expected = -1 OR coalesce(row.version, 0) IN (given.expected,
            given.version))
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET id=sessionstore_sessions_held.new_id, deadline=LEAST(now_us +
        sessionstore_sessions_held.ttl,
        coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
        state=sessionstore_sessions_held.state, seen=now_us, idle_ttl=CASE WHEN
        (sessionstore_sessions_held.idle_ttl = -1) THEN
        sessionstore_sessions.idle_ttl WHEN (sessionstore_sessions_held.idle_ttl =
        0) THEN NULL ELSE sessionstore_sessions_held.idle_ttl END,
        version=sessionstore_sessions_held.version
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- update_ttl of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid, coalesce(given.ttl,
        $1::BIGINT) AS ttl
    FROM unnest(array((
        SELECT SUBSTRING($2::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($2::BYTEA), 32) AS start
        ORDER BY start
    )), $3::BIGINT[]) AS given(id, ttl)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    UPDATE sessionstore_sessions
    SET deadline=LEAST(now_us + sessionstore_sessions_held.ttl,
        coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
        seen=now_us
    FROM sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- delete of two sessions in one batch
WITH sessionstore_sessions_held AS (
    SELECT locked.tableoid AS tableoid, locked.ctid AS ctid
    FROM unnest(array((
        SELECT SUBSTRING($1::BYTEA FROM start FOR 32) AS substring_1
        FROM generate_series(1, length($1::BYTEA), 32) AS start
        ORDER BY start
    ))) AS given(id)
    JOIN LATERAL (
        SELECT row.tableoid AS tableoid, row.ctid AS ctid
        FROM sessionstore_sessions AS row
        WHERE row.id = given.id
        AND row.deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS locked ON true
    WHERE length(given.id) = 32
), sessionstore_sessions_changed AS (
    DELETE FROM sessionstore_sessions USING sessionstore_sessions_held
    WHERE sessionstore_sessions.tableoid = sessionstore_sessions_held.tableoid
    AND sessionstore_sessions.ctid = sessionstore_sessions_held.ctid
    RETURNING sessionstore_sessions.id
)
SELECT string_agg(sessionstore_sessions_changed.id, ''::bytea) AS string_agg_1
FROM sessionstore_sessions_changed;

-- collect_statistics
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS BIGINT) AS
    deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT $1::INTEGER;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

SELECT length(sessionstore_sessions.state) AS length_1
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT $1::INTEGER;

SELECT CASE WHEN (sessionstore_sessions.subject IS NOT NULL) THEN $1::INTEGER ELSE
    $2::INTEGER END AS is_signed_in, substr(sessionstore_sessions.state,
    $3::INTEGER, $4::INTEGER) AS header
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT $5::INTEGER;

SELECT pg_table_size(sessions.oid) AS table_bytes, pg_indexes_size(sessions.oid) AS
    index_bytes, coalesce(counted.n_dead_tup, 0) AS dead_rows, counted.n_tup_hot_upd
    * 1.0 / nullif(counted.n_tup_upd, 0) AS hot_updates, extract(epoch FROM
    statement_timestamp() - greatest(counted.last_vacuum, counted.last_autovacuum))
    AS since_last
FROM pg_class AS sessions
LEFT JOIN pg_stat_all_tables AS counted ON counted.relid = sessions.oid
WHERE sessions.oid = to_regclass(coalesce(quote_ident($1) || '.', '') ||
    quote_ident($2));

-- collect_activity
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS BIGINT) AS
    deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT $1::INTEGER;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

SELECT count(*) AS open, current_setting('max_connections')::int AS limit, count(*)
    FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state =
    'active' AND wait_event_type = 'Lock') AS waiting
FROM pg_stat_activity
WHERE backend_type = 'client backend';

-- load_session
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1, sessionstore_sessions.subject, sessionstore_sessions.handle, now_us -
    sessionstore_sessions.authenticated AS anon_2,
    sessionstore_sessions.final_deadline - now_us AS anon_3,
    sessionstore_sessions.version, sessionstore_sessions.idle_ttl,
    sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us;

-- update_if
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + $1::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=$2::BYTEA, seen=now_us, idle_ttl=CASE WHEN ($3::BIGINT = -1) THEN
    sessionstore_sessions.idle_ttl WHEN ($3::BIGINT = 0) THEN NULL ELSE $3::BIGINT
    END, version=$4::BIGINT
WHERE sessionstore_sessions.id = $5::BYTEA
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN ($6::BIGINT, $4::BIGINT);

-- update_if, if another state was stored
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + $1::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=$2::BYTEA, seen=now_us, idle_ttl=CASE WHEN ($3::BIGINT = -1) THEN
    sessionstore_sessions.idle_ttl WHEN ($3::BIGINT = 0) THEN NULL ELSE $3::BIGINT
    END, version=$4::BIGINT
WHERE sessionstore_sessions.id = $5::BYTEA
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN ($6::BIGINT, $4::BIGINT);

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- replace
UPDATE sessionstore_sessions
SET id=$1::BYTEA, deadline=LEAST(now_us + $2::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=$3::BYTEA, seen=now_us, idle_ttl=CASE WHEN ($4::BIGINT = -1) THEN
    sessionstore_sessions.idle_ttl WHEN ($4::BIGINT = 0) THEN NULL ELSE $4::BIGINT
    END, version=$5::BIGINT
WHERE sessionstore_sessions.id = $6::BYTEA
AND sessionstore_sessions.deadline > now_us
AND ($7::BIGINT = -1 OR coalesce(sessionstore_sessions.version, 0) IN ($7::BIGINT,
    $5::BIGINT));

-- replace, if a live session has the new id
UPDATE sessionstore_sessions
SET id=$1::BYTEA, deadline=LEAST(now_us + $2::BIGINT,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=$3::BYTEA, seen=now_us, idle_ttl=CASE WHEN ($4::BIGINT = -1) THEN
    sessionstore_sessions.idle_ttl WHEN ($4::BIGINT = 0) THEN NULL ELSE $4::BIGINT
    END, version=$5::BIGINT
WHERE sessionstore_sessions.id = $6::BYTEA
AND sessionstore_sessions.deadline > now_us
AND ($7::BIGINT = -1 OR coalesce(sessionstore_sessions.version, 0) IN ($7::BIGINT,
    $5::BIGINT));

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.version = $2::BIGINT
FOR SHARE;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- replace by the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- sign_in without a session
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, $4::BYTEA, $5::BYTEA, now_us,
    now_us, now_us, (now_us + $6::BIGINT), $7::BIGINT, $8::BIGINT, $9::BYTEA)
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
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, $4::BYTEA, $5::BYTEA, now_us,
    now_us, now_us, (now_us + $6::BIGINT), $7::BIGINT, $8::BIGINT, $9::BYTEA)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

-- sign_in from a session
UPDATE sessionstore_sessions
SET id=$1::BYTEA, deadline=(now_us + $2::BIGINT), state=$3::BYTEA, handle=CASE WHEN
    (sessionstore_sessions.subject IN ($4::BYTEA)) THEN sessionstore_sessions.handle
    ELSE $5::BYTEA END, created=CASE WHEN (sessionstore_sessions.subject IN
    ($4::BYTEA)) THEN sessionstore_sessions.created ELSE now_us END,
    authenticated=now_us, seen=now_us, final_deadline=(now_us + $6::BIGINT),
    idle_ttl=CASE WHEN ($7::BIGINT = 0) THEN NULL WHEN ($7::BIGINT != -1) THEN
    $7::BIGINT WHEN (sessionstore_sessions.subject IS NULL OR
    sessionstore_sessions.subject IN ($4::BYTEA)) THEN
    sessionstore_sessions.idle_ttl ELSE NULL END, version=$8::BIGINT, about=CASE
    WHEN ($9::BIGINT = 1 AND sessionstore_sessions.subject IN ($4::BYTEA)) THEN
    sessionstore_sessions.about ELSE $10::BYTEA END, subject=$11::BYTEA
WHERE sessionstore_sessions.id = $12::BYTEA
AND sessionstore_sessions.deadline > now_us
AND ($13::BIGINT = -1 OR coalesce(sessionstore_sessions.version, 0) IN ($13::BIGINT,
    $8::BIGINT));

SELECT sessionstore_sessions.handle
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.version = $2::BIGINT;

-- sign_in to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- sign_in with a limit
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES ($1::BYTEA, (now_us + $2::BIGINT), $3::BYTEA, $4::BYTEA, $5::BYTEA, now_us,
    now_us, now_us, (now_us + $6::BIGINT), $7::BIGINT, $8::BIGINT, $9::BYTEA)
ON CONFLICT (id) DO UPDATE
SET deadline = excluded.deadline, state = excluded.state, subject =
    excluded.subject, handle = excluded.handle, created = excluded.created,
    authenticated = excluded.authenticated, seen = excluded.seen, final_deadline =
    excluded.final_deadline, idle_ttl = excluded.idle_ttl, version =
    excluded.version, about = excluded.about
WHERE sessionstore_sessions.deadline <= now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.deadline > now_us
AND (sessionstore_sessions.created, sessionstore_sessions.handle) < (
    SELECT sessionstore_sessions.created, sessionstore_sessions.handle
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN ($1::BYTEA)
    AND sessionstore_sessions.deadline > now_us
    ORDER BY sessionstore_sessions.created DESC, sessionstore_sessions.handle DESC
    LIMIT $2::INTEGER OFFSET $3::BIGINT
)
RETURNING sessionstore_sessions.handle;

-- sessions_of
SELECT sessionstore_sessions.handle, sessionstore_sessions.created,
    coalesce(sessionstore_sessions.seen, sessionstore_sessions.created) AS
    coalesce_1, sessionstore_sessions.authenticated, sessionstore_sessions.deadline,
    sessionstore_sessions.final_deadline, sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.deadline > now_us
ORDER BY sessionstore_sessions.seen DESC, sessionstore_sessions.created DESC,
    sessionstore_sessions.handle
LIMIT $2::BIGINT;

-- revoke
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.handle IS DISTINCT
FROM $2::BYTEA
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN ($1::BYTEA)
        AND sessionstore_sessions.handle IS DISTINCT
        FROM $2::BYTEA
        LIMIT $3::INTEGER
    ) AS "some"
) <= $4::INTEGER
RETURNING sessionstore_sessions.handle;

-- revoke, if there is no session
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.handle IS DISTINCT
FROM $2::BYTEA
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN ($1::BYTEA)
        AND sessionstore_sessions.handle IS DISTINCT
        FROM $2::BYTEA
        LIMIT $3::INTEGER
    ) AS "some"
) <= $4::INTEGER
RETURNING sessionstore_sessions.handle;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions.id
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN ($1::BYTEA)
    AND sessionstore_sessions.handle IS DISTINCT
    FROM $2::BYTEA
    LIMIT $3::INTEGER
)
RETURNING sessionstore_sessions.handle;

-- revoke only one
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.handle = $2::BYTEA
RETURNING sessionstore_sessions.handle;

-- revoke all but one
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.handle IS DISTINCT
FROM $2::BYTEA
AND (
    SELECT count(*) AS count_1
    FROM (
        SELECT 1
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.subject IN ($1::BYTEA)
        AND sessionstore_sessions.handle IS DISTINCT
        FROM $2::BYTEA
        LIMIT $3::INTEGER
    ) AS "some"
) <= $4::INTEGER
RETURNING sessionstore_sessions.handle;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (
    SELECT sessionstore_sessions.id
    FROM sessionstore_sessions
    WHERE sessionstore_sessions.subject IN ($1::BYTEA)
    AND sessionstore_sessions.handle IS DISTINCT
    FROM $2::BYTEA
    LIMIT $3::INTEGER
)
RETURNING sessionstore_sessions.handle;

-- sign_out
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA;

-- sign_out of a session that was rotated
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = $1::BYTEA;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN ($1::BYTEA)
AND sessionstore_sessions.handle = $2::BYTEA
RETURNING sessionstore_sessions.handle;
