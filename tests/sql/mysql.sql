-- What MySQL receives through aiomysql. Written by `make sql`, compared by tests/sql.
-- Each %s is a parameter. now_us is the time in microseconds since 1970 UTC:
--     TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))

-- load
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- create
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (unhex(%s), (now_us + %s), unhex(%s), now_us, now_us, %s);

-- create, if an expired session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (unhex(%s), (now_us + %s), unhex(%s), now_us, now_us, %s);

INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (unhex(%s), (now_us + %s), unhex(%s), now_us, now_us, %s);

UPDATE sessionstore_sessions
SET deadline=(now_us + %s), state=unhex(%s), subject=NULL, handle=NULL,
    created=now_us, authenticated=NULL, seen=now_us, final_deadline=NULL,
    idle_ttl=NULL, version=%s, about=NULL
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

-- create, if a live session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (unhex(%s), (now_us + %s), unhex(%s), now_us, now_us, %s);

INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version)
VALUES (unhex(%s), (now_us + %s), unhex(%s), now_us, now_us, %s);

UPDATE sessionstore_sessions
SET deadline=(now_us + %s), state=unhex(%s), subject=NULL, handle=NULL,
    created=now_us, authenticated=NULL, seen=now_us, final_deadline=NULL,
    idle_ttl=NULL, version=%s, about=NULL
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- update
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + %s, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=unhex(%s), seen=now_us, version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- update_ttl
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + %s, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- delete
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- delete, if the session is expired
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

SELECT sessionstore_sessions.deadline - now_us AS anon_1,
    sessionstore_sessions.created
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s);

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.created <=> %s;

-- change_id
UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- change_id, if an expired session has the new id
UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- change_id, if a live session has the new id
UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

UPDATE sessionstore_sessions
SET id=unhex(%s), seen=now_us
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- change_id to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- delete_expired
SELECT /*+ SET_VAR(group_concat_max_len = 1073741824) */ GROUP_CONCAT(id SEPARATOR
    '')
FROM (
    SELECT expired.id
    FROM (
        SELECT sessionstore_sessions.id AS id, sessionstore_sessions.deadline AS
            deadline
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
        AND sessionstore_sessions.deadline <= now_us
        ORDER BY sessionstore_sessions.expiry_bucket
        LIMIT %s
    ) AS expired
    ORDER BY expired.deadline
    LIMIT %s
) AS oldest;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM (
    SELECT id
    FROM sessionstore_sessions FORCE INDEX (PRIMARY)
    WHERE id IN (x%s)
    AND deadline <= now_us
    LIMIT 125
    FOR UPDATE SKIP LOCKED
) AS sessionstore_sessions_chosen
STRAIGHT_JOIN sessionstore_sessions FORCE INDEX (PRIMARY) ON
    sessionstore_sessions.id = sessionstore_sessions_chosen.id
WHERE sessionstore_sessions.deadline <= now_us;

-- delete_expired_exclusively
SELECT get_lock(concat(%s, left(sha2(concat(database(), %s, %s), %s), %s)), %s) AS
    get_lock_1;

SET @sessionstore_wait_timeout = @@SESSION.wait_timeout, SESSION wait_timeout = 60;

SELECT /*+ SET_VAR(group_concat_max_len = 1073741824) */ GROUP_CONCAT(id SEPARATOR
    '')
FROM (
    SELECT expired.id
    FROM (
        SELECT sessionstore_sessions.id AS id, sessionstore_sessions.deadline AS
            deadline
        FROM sessionstore_sessions
        WHERE sessionstore_sessions.expiry_bucket <= (now_us >> 28)
        AND sessionstore_sessions.deadline <= now_us
        ORDER BY sessionstore_sessions.expiry_bucket
        LIMIT %s
    ) AS expired
    ORDER BY expired.deadline
    LIMIT %s
) AS oldest;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM (
    SELECT id
    FROM sessionstore_sessions FORCE INDEX (PRIMARY)
    WHERE id IN (x%s)
    AND deadline <= now_us
    LIMIT 125
    FOR UPDATE SKIP LOCKED
) AS sessionstore_sessions_chosen
STRAIGHT_JOIN sessionstore_sessions FORCE INDEX (PRIMARY) ON
    sessionstore_sessions.id = sessionstore_sessions_chosen.id
WHERE sessionstore_sessions.deadline <= now_us;

SELECT release_lock(concat(%s, left(sha2(concat(database(), %s, %s), %s), %s))) AS
    release_lock_1;

SET SESSION wait_timeout = @sessionstore_wait_timeout;

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
SELECT /*+ SET_VAR(group_concat_max_len = 1073741824) */ SUM(62 +
    LENGTH(sessionstore_sessions.state)), GROUP_CONCAT(sessionstore_sessions.id,
    LPAD(sessionstore_sessions.deadline - now_us, 20, '0'),
    LPAD(LENGTH(sessionstore_sessions.state), 10, '0'), sessionstore_sessions.state
    SEPARATOR '')
FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (x%s, x%s)
AND sessionstore_sessions.deadline > now_us;

-- load_session of two sessions in one batch
SELECT /*+ SET_VAR(group_concat_max_len = 1073741824) */ SUM(172 +
    LENGTH(sessionstore_sessions.state) +
    LENGTH(COALESCE(CONCAT(sessionstore_sessions.subject,
    sessionstore_sessions.handle, COALESCE(sessionstore_sessions.about, '')), ''))),
    GROUP_CONCAT(sessionstore_sessions.id,
    LPAD(COALESCE(LENGTH(sessionstore_sessions.state), ''), 20, ' '),
    LPAD(COALESCE(LENGTH(COALESCE(CONCAT(sessionstore_sessions.subject,
    sessionstore_sessions.handle, COALESCE(sessionstore_sessions.about, '')), '')),
    ''), 20, ' '), LPAD(COALESCE(sessionstore_sessions.deadline - now_us, ''), 20, '
    '), LPAD(COALESCE(now_us - sessionstore_sessions.authenticated, ''), 20, ' '),
    LPAD(COALESCE(sessionstore_sessions.final_deadline - now_us, ''), 20, ' '),
    LPAD(COALESCE(sessionstore_sessions.version, ''), 20, ' '),
    LPAD(COALESCE(sessionstore_sessions.idle_ttl, ''), 20, ' '),
    sessionstore_sessions.state, COALESCE(CONCAT(sessionstore_sessions.subject,
    sessionstore_sessions.handle, COALESCE(sessionstore_sessions.about, '')), '')
    SEPARATOR '')
FROM sessionstore_sessions
WHERE sessionstore_sessions.id IN (x%s, x%s)
AND sessionstore_sessions.deadline > now_us;

-- live of two sessions in one batch
SELECT id
FROM sessionstore_sessions
WHERE id IN (x%s, x%s)
AND deadline > now_us;

-- create of two sessions in one batch
INSERT INTO sessionstore_sessions (id, deadline, state, created, seen, version,
    final_deadline)
VALUES (x%s, now_us + %s, x%s, now_us, now_us, %s, NULL), (x%s, now_us + %s, x%s,
    now_us, now_us, %s, NULL);

-- update of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET deadline = LEAST(now_us + %s, COALESCE(final_deadline, 9223372036854775807)),
    seen = now_us, state = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END, version
    = %s
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- update_if of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET deadline = LEAST(now_us + %s, COALESCE(final_deadline, 9223372036854775807)),
    seen = now_us, state = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END, version
    = %s
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        AND (%s = -1 OR COALESCE(version, 0) IN (%s, %s))
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- change_id of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET seen = now_us, id = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- sign_in without a session, of two sessions in one batch
INSERT INTO sessionstore_sessions (id, deadline, state, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about, subject)
VALUES (x%s, now_us + %s, x%s, x%s, now_us, now_us, now_us, now_us + %s, %s, %s,
    x%s, x%s), (x%s, now_us + %s, x%s, x%s, now_us, now_us, now_us, now_us + %s, %s,
    %s, x%s, x%s);

-- sign_in of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET deadline = now_us + %s, state = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END,
    handle = CASE WHEN subject IN (CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END)
    THEN handle ELSE CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END END, created =
    CASE WHEN subject IN (CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END) THEN
    created ELSE now_us END, authenticated = now_us, seen = now_us, final_deadline =
    now_us + %s, idle_ttl = CASE WHEN %s <> -1 THEN NULLIF(%s, 0) WHEN subject IS
    NULL OR subject IN (CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END) THEN
    idle_ttl END, version = CASE id WHEN x%s THEN %s WHEN x%s THEN %s END, about =
    CASE WHEN %s = 1
AND subject IN (CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END) THEN about ELSE
    CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END END, subject = CASE id WHEN x%s
    THEN x%s WHEN x%s THEN x%s END, id = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s
    END
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        AND (%s = -1 OR COALESCE(version, 0) IN (%s, CASE id WHEN x%s THEN %s WHEN
            x%s THEN %s END))
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

SELECT id, handle, version
FROM sessionstore_sessions
WHERE id IN (x%s, x%s);

-- replace of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET deadline = LEAST(now_us + %s, COALESCE(final_deadline, 9223372036854775807)),
    seen = now_us, state = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END, version
    = %s, id = CASE id WHEN x%s THEN x%s WHEN x%s THEN x%s END
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        AND (%s = -1 OR COALESCE(version, 0) IN (%s, %s))
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- update_ttl of two sessions in one batch
UPDATE sessionstore_sessions FORCE INDEX (PRIMARY)
SET deadline = LEAST(now_us + %s, COALESCE(final_deadline, 9223372036854775807)),
    seen = now_us
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- delete of two sessions in one batch
DELETE sessionstore_sessions
FROM sessionstore_sessions FORCE INDEX (PRIMARY)
WHERE id IN (x%s, x%s)
AND (
    SELECT COUNT(*)
    FROM (
        SELECT id
        FROM sessionstore_sessions FORCE INDEX (PRIMARY)
        WHERE id IN (x%s, x%s)
        AND deadline > now_us
        FOR UPDATE SKIP LOCKED
    ) AS held
) = %s;

-- collect_statistics
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS SIGNED
    INTEGER) AS deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT %s;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

SELECT length(sessionstore_sessions.state) AS length_1
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT %s;

SELECT CASE WHEN (sessionstore_sessions.subject IS NOT NULL) THEN %s ELSE %s END AS
    is_signed_in, substr(sessionstore_sessions.state, %s, %s) AS header
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT %s;

SELECT @@information_schema_stats_expiry;

SET SESSION information_schema_stats_expiry = %s;

SELECT data_length AS table_bytes, index_length AS index_bytes, data_free AS
    reusable_bytes
FROM information_schema.tables
WHERE table_schema = coalesce(%s, database())
AND table_name = %s;

SET SESSION information_schema_stats_expiry = %s;

-- collect_activity
SELECT now_us AS anon_1;

SELECT sessionstore_sessions.id, CAST(sessionstore_sessions.deadline AS SIGNED
    INTEGER) AS deadline
FROM sessionstore_sessions
ORDER BY sessionstore_sessions.id
LIMIT %s;

SELECT min(sessionstore_sessions.expiry_bucket) AS min_1
FROM sessionstore_sessions;

SHOW GLOBAL STATUS
WHERE variable_name IN ('Threads_connected', 'Threads_running',
    'Innodb_row_lock_current_waits');

SELECT @@GLOBAL.max_connections;

-- load_session
SELECT sessionstore_sessions.state, sessionstore_sessions.deadline - now_us AS
    anon_1, sessionstore_sessions.subject, sessionstore_sessions.handle, now_us -
    sessionstore_sessions.authenticated AS anon_2,
    sessionstore_sessions.final_deadline - now_us AS anon_3,
    sessionstore_sessions.version, sessionstore_sessions.idle_ttl,
    sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us;

-- update_if
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + %s, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=unhex(%s), seen=now_us, idle_ttl=CASE WHEN (%s =
    -1) THEN sessionstore_sessions.idle_ttl WHEN (%s = 0) THEN NULL ELSE %s END,
    version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN (%s, %s);

-- update_if, if another state was stored
UPDATE sessionstore_sessions
SET deadline=LEAST(now_us + %s, coalesce(sessionstore_sessions.final_deadline,
    9223372036854775807)), state=unhex(%s), seen=now_us, idle_ttl=CASE WHEN (%s =
    -1) THEN sessionstore_sessions.idle_ttl WHEN (%s = 0) THEN NULL ELSE %s END,
    version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND coalesce(sessionstore_sessions.version, 0) IN (%s, %s);

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- replace
UPDATE sessionstore_sessions
SET id=unhex(%s), deadline=LEAST(now_us + %s,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=unhex(%s), seen=now_us, idle_ttl=CASE WHEN (%s = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (%s = 0) THEN NULL ELSE %s END, version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND (%s = -1 OR coalesce(sessionstore_sessions.version, 0) IN (%s, %s));

-- replace, if a live session has the new id
UPDATE sessionstore_sessions
SET id=unhex(%s), deadline=LEAST(now_us + %s,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=unhex(%s), seen=now_us, idle_ttl=CASE WHEN (%s = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (%s = 0) THEN NULL ELSE %s END, version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND (%s = -1 OR coalesce(sessionstore_sessions.version, 0) IN (%s, %s));

UPDATE sessionstore_sessions
SET id=unhex(%s), deadline=LEAST(now_us + %s,
    coalesce(sessionstore_sessions.final_deadline, 9223372036854775807)),
    state=unhex(%s), seen=now_us, idle_ttl=CASE WHEN (%s = -1) THEN
    sessionstore_sessions.idle_ttl WHEN (%s = 0) THEN NULL ELSE %s END, version=%s
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND (%s = -1 OR coalesce(sessionstore_sessions.version, 0) IN (%s, %s));

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.version = %s
FOR SHARE;

DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- replace by the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- sign_in without a session
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (unhex(%s), (now_us + %s), unhex(%s), unhex(%s), unhex(%s), now_us, now_us,
    now_us, (now_us + %s), %s, %s, unhex(%s));

-- sign_in without a session, if an expired session has the id
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (unhex(%s), (now_us + %s), unhex(%s), unhex(%s), unhex(%s), now_us, now_us,
    now_us, (now_us + %s), %s, %s, unhex(%s));

INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (unhex(%s), (now_us + %s), unhex(%s), unhex(%s), unhex(%s), now_us, now_us,
    now_us, (now_us + %s), %s, %s, unhex(%s));

SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.version = %s
FOR SHARE;

UPDATE sessionstore_sessions
SET deadline=(now_us + %s), state=unhex(%s), subject=unhex(%s), handle=unhex(%s),
    created=now_us, authenticated=now_us, seen=now_us, final_deadline=(now_us + %s),
    idle_ttl=%s, version=%s, about=unhex(%s)
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline <= now_us;

-- sign_in from a session
UPDATE sessionstore_sessions
SET id=unhex(%s), deadline=(now_us + %s), state=unhex(%s), handle=CASE WHEN
    (sessionstore_sessions.subject IN (unhex(%s))) THEN sessionstore_sessions.handle
    ELSE unhex(%s) END, created=CASE WHEN (sessionstore_sessions.subject IN
    (unhex(%s))) THEN sessionstore_sessions.created ELSE now_us END,
    authenticated=now_us, seen=now_us, final_deadline=(now_us + %s), idle_ttl=CASE
    WHEN (%s = 0) THEN NULL WHEN (%s != -1) THEN %s WHEN
    (sessionstore_sessions.subject IS NULL OR sessionstore_sessions.subject IN
    (unhex(%s))) THEN sessionstore_sessions.idle_ttl ELSE NULL END, version=%s,
    about=CASE WHEN (%s = 1 AND sessionstore_sessions.subject IN (unhex(%s))) THEN
    sessionstore_sessions.about ELSE unhex(%s) END, subject=unhex(%s)
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
AND (%s = -1 OR coalesce(sessionstore_sessions.version, 0) IN (%s, %s));

SELECT sessionstore_sessions.handle
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.version = %s;

-- sign_in to the same id
SELECT sessionstore_sessions.deadline
FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s)
AND sessionstore_sessions.deadline > now_us
FOR SHARE;

-- sign_in with a limit
INSERT INTO sessionstore_sessions (id, deadline, state, subject, handle, created,
    authenticated, seen, final_deadline, idle_ttl, version, about)
VALUES (unhex(%s), (now_us + %s), unhex(%s), unhex(%s), unhex(%s), now_us, now_us,
    now_us, (now_us + %s), %s, %s, unhex(%s));

SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
AND deadline > now_us
ORDER BY created DESC, handle DESC
LIMIT 9223372036854775807 OFFSET 1
FOR UPDATE;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM sessionstore_sessions FORCE INDEX (PRIMARY)
WHERE id IN (x%s);

COMMIT;

-- sessions_of
SELECT sessionstore_sessions.handle, sessionstore_sessions.created,
    coalesce(sessionstore_sessions.seen, sessionstore_sessions.created) AS
    coalesce_1, sessionstore_sessions.authenticated, sessionstore_sessions.deadline,
    sessionstore_sessions.final_deadline, sessionstore_sessions.about
FROM sessionstore_sessions
WHERE sessionstore_sessions.subject IN (unhex(%s))
AND sessionstore_sessions.deadline > now_us
ORDER BY sessionstore_sessions.seen DESC, sessionstore_sessions.created DESC,
    sessionstore_sessions.handle
LIMIT %s;

-- revoke
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
LIMIT 1000
FOR UPDATE;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM sessionstore_sessions FORCE INDEX (PRIMARY)
WHERE id IN (x%s);

COMMIT;

-- revoke, if there is no session
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
LIMIT 1000
FOR UPDATE;

COMMIT;

-- revoke only one
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
AND handle <=> x%s
LIMIT 1000
FOR UPDATE;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM sessionstore_sessions FORCE INDEX (PRIMARY)
WHERE id IN (x%s);

COMMIT;

-- revoke all but one
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
AND NOT handle <=> x%s
LIMIT 1000
FOR UPDATE;

COMMIT;

-- sign_out
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s);

-- sign_out of a session that was rotated
DELETE FROM sessionstore_sessions
WHERE sessionstore_sessions.id = unhex(%s);

SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

START TRANSACTION;

SELECT id, handle
FROM sessionstore_sessions FORCE INDEX (sessionstore_sessions_subject)
WHERE subject IN (x%s)
AND handle <=> x%s
LIMIT 1000
FOR UPDATE;

DELETE /*+ SET_VAR(sql_safe_updates = OFF) */ sessionstore_sessions
FROM sessionstore_sessions FORCE INDEX (PRIMARY)
WHERE id IN (x%s);

COMMIT;
