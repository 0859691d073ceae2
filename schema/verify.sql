-- The third verifier, in plain DuckDB SQL (tested with 1.5 and 2.0). Written from FORMAT.md. It recomputes from the cells and bytes alone:
-- record preimages and hashes, the chain, payload commitments, the RFC 6962 roots of every ledger and of the windows log, SHA-256 and
-- length of each file, the grammar of calls, the counts, and compares roots with the log's opens, heads and seals.
--
--     duckdb -cmd "SET VARIABLE evidence = 'home/evidence'" -f schema/verify.sql          exit code 0 or 1; the table says which checks held
--
-- or from any DuckDB library: run the SET VARIABLE, then this file; a failed check ends it with an error.
--
-- What it does NOT check, and says so: signatures (DuckDB has no Ed25519), so it can't tell evidence from a forgery that is right in itself:
-- compare the printed log roots with a checkpoint that you trust; L1 but for the number of rows; canonical JSON; the order of entries in the
-- log and its keys (of L3); L4. It reads only files whose bytes are those that the note or the log names: unlike the other two it does not
-- go on in a changed one, nor in one that DuckDB can't read. Encrypted payload rows are left alone.

-- ---- What is there ---------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE TEMP TABLE found AS
WITH files AS (
    SELECT filename, substr(filename, length(rtrim(getvariable('evidence')::VARCHAR, '/')) + 2) AS path, content, size
    FROM read_blob(rtrim(getvariable('evidence')::VARCHAR, '/') || '/**')
)
SELECT filename, path, string_split(path, '/') AS parts, parts[1] AS gateway, parts[2] AS folder,
    array_to_string(parts[3:], '/') AS name, size, sha256(content) AS sha256,
    -- Parts are large, and read elsewhere.
    CASE WHEN name LIKE '%.parquet' AND folder <> '_log' THEN NULL ELSE content END AS content
FROM files;

-- Everything that does not hold. `place` is a record's seq, a file or an entry.
CREATE OR REPLACE TEMP TABLE findings (gateway VARCHAR, change_window VARCHAR, level VARCHAR, subject VARCHAR, place VARCHAR);

INSERT INTO findings SELECT gateway, NULL, 'L0', 'folders', path FROM found
WHERE len(parts) < 3 OR NOT regexp_full_match(gateway, '[A-Za-z0-9][A-Za-z0-9._-]{0,63}')
   OR (folder <> '_log' AND (len(parts) <> 3 OR NOT regexp_full_match(folder, '[A-Za-z0-9][A-Za-z0-9._-]{0,63}')));

-- ---- The windows log (§10) -----------------------------------------------------------------------------------------------------------

CREATE OR REPLACE TEMP TABLE checkpoints AS
WITH texts AS (
    SELECT gateway, string_split(try(decode(content)), chr(10)) AS lines FROM found WHERE folder = '_log' AND name = 'checkpoint'
)
SELECT DISTINCT f.gateway, lines[1] AS origin, TRY_CAST(lines[2] AS UBIGINT) AS size, lower(hex(try(from_base64(lines[3])))) AS root
FROM (SELECT DISTINCT gateway FROM found WHERE len(parts) >= 3) f LEFT JOIN texts USING (gateway);

INSERT INTO findings SELECT gateway, NULL, 'L3', 'tree', 'checkpoint' FROM checkpoints
WHERE size IS NULL OR root IS NULL OR length(root) <> 64 OR origin IS DISTINCT FROM 'sealgate/' || gateway;

-- Entry bundles: each entry after its length in two bytes. Offsets count hex digits.
CREATE OR REPLACE TEMP TABLE bundles AS
SELECT gateway, name, lower(hex(content)) AS digits,
    TRY_CAST(replace(replace(split_part(replace(name, 'tile/entries/', ''), '.p/', 1), 'x', ''), '/', '') AS UBIGINT) AS number
FROM found WHERE folder = '_log' AND name LIKE 'tile/entries/%';

CREATE OR REPLACE TEMP TABLE entries AS
WITH RECURSIVE walk(gateway, number, place, start, length) AS (
    SELECT gateway, number, 0, 1, 2 * ('0x' || substr(digits, 1, 4))::INT FROM bundles WHERE length(digits) >= 4
    UNION ALL
    SELECT w.gateway, w.number, w.place + 1, w.start + 4 + w.length, 2 * ('0x' || substr(b.digits, w.start + 4 + w.length, 4))::INT
    FROM walk w JOIN bundles b USING (gateway, number)
    WHERE length(b.digits) >= w.start + 7 + w.length
)
SELECT gateway, row_number() OVER (PARTITION BY gateway ORDER BY number, place) - 1 AS entry, number, place,
    substr(digits, start + 4, length) AS digits, TRY_CAST(try(decode(unhex(substr(digits, start + 4, length)))) AS JSON) AS said,
    (said->>'$.type') AS type, (said->>'$.window') AS change_window
FROM walk JOIN bundles USING (gateway, number)
WHERE length(substr(digits, start + 4, length)) = length;

INSERT INTO findings SELECT gateway, NULL, 'L3', 'tree', 'entry ' || entry FROM entries WHERE said IS NULL OR number * 256 + place <> entry;
INSERT INTO findings SELECT b.gateway, NULL, 'L3', 'tree', b.name FROM bundles b
LEFT JOIN (SELECT gateway, number, sum(length(digits) + 4) AS digits FROM entries GROUP BY ALL) e USING (gateway, number)
WHERE coalesce(e.digits, 0) <> length(b.digits);
INSERT INTO findings SELECT c.gateway, NULL, 'L3', 'tree', 'number of entries' FROM checkpoints c
WHERE c.size IS DISTINCT FROM (SELECT count(*) FROM entries e WHERE e.gateway = c.gateway);

-- Files that redactions name, in order, with what stands in their place.
CREATE OR REPLACE TEMP TABLE redacted AS
SELECT gateway, change_window, entry, (said->>'$.action') AS action, (file->>'$.name') AS name, (file->>'$.sha256') AS sha256,
    (file->>'$.successor.name') AS successor, (file->>'$.successor.sha256') AS successor_sha256, (file->>'$.successor.bytes')::UBIGINT AS successor_bytes
FROM (SELECT *, unnest(from_json(said->'$.files', '["JSON"]')) AS file FROM entries WHERE type = 'redaction');

CREATE OR REPLACE TEMP TABLE windows AS
SELECT gateway, change_window, max((said->>'$.records')::UBIGINT) FILTER (type IN ('head', 'seal')) AS length,
    max((said->>'$.records')::UBIGINT) FILTER (type = 'seal') AS sealed, max(said->>'$.note') FILTER (type = 'seal') AS note,
    max(said->>'$.root') FILTER (type = 'seal') AS root, arg_max(said->>'$.sha256', entry) FILTER (type = 'timestamp') AS timestamp_sha256,
    bool_or(type = 'redaction' AND (said->>'$.action') = 'records') AS removed,
    bool_or(type = 'redaction' AND (said->>'$.action') = 'payloads') AS payloads_removed, bool_or(type = 'open') AS opened
FROM entries WHERE change_window IS NOT NULL GROUP BY ALL;

-- ---- Notes and manifests (§7), and the files as redactions left them (§11) --------------------------------------------------------------

CREATE OR REPLACE TEMP TABLE notes AS
WITH folders AS (SELECT DISTINCT gateway, folder AS change_window FROM found WHERE len(parts) >= 3 AND folder <> '_log'),
texts AS (
    SELECT gateway, folder AS change_window, sha256, string_split(try(decode(content)), chr(10)) AS lines FROM found WHERE name = 'ledger.note'
)
SELECT gateway, change_window, sha256, lines[1] AS origin, TRY_CAST(lines[2] AS UBIGINT) AS size,
    lower(hex(try(from_base64(lines[3])))) AS root, TRY_CAST(lines[4] AS JSON) AS manifest,
    (manifest->>'$.state') AS state, (manifest->>'$.head') AS head,
    coalesce(len(lines) >= 7 AND lines[5] = '' AND (manifest->>'$.format') = 'sealgate/manifest/v1'
        AND (manifest->>'$.gateway') = gateway AND (manifest->>'$.window') = change_window
        AND origin = 'sealgate/' || gateway || '/' || change_window AND (manifest->>'$.records')::UBIGINT = size, false) AS sound
FROM folders LEFT JOIN texts USING (gateway, change_window);

INSERT INTO findings SELECT gateway, change_window, 'L0', 'note', 'ledger.note' FROM notes WHERE NOT sound;

CREATE OR REPLACE TEMP TABLE listed AS
SELECT gateway, change_window, (file->>'$.name') AS sealed_name, (file->>'$.table') AS part_table, (file->>'$.first_seq')::UBIGINT AS first_seq,
    (file->>'$.records')::UBIGINT AS records, (file->>'$.rows')::UBIGINT AS row_count, (file->>'$.bytes')::UBIGINT AS bytes,
    (file->>'$.sha256') AS sha256, (file->>'$.key') AS key
FROM (SELECT *, unnest(from_json(manifest->'$.files', '["JSON"]')) AS file FROM notes WHERE sound);

INSERT INTO findings SELECT gateway, change_window, 'L0', 'files', sealed_name FROM listed
WHERE sealed_name <> part_table || '-' || lpad(first_seq::VARCHAR, greatest(12, length(first_seq::VARCHAR))::INT, '0') || '.parquet'
   OR part_table NOT IN ('records', 'payloads');

-- Every file that ever stood there, with what replaced or removed it.
CREATE OR REPLACE TEMP TABLE stood AS
SELECT *, sealed_name AS name FROM listed
UNION ALL BY NAME
SELECT l.* REPLACE (r.successor_bytes AS bytes, r.successor_sha256 AS sha256), r.successor AS name
FROM listed l JOIN redacted r ON r.gateway = l.gateway AND r.change_window = l.change_window AND r.successor IS NOT NULL
    AND l.part_table = 'payloads' AND regexp_full_match(r.successor, replace(l.sealed_name, '.parquet', '') || '\.r[1-9][0-9]*\.parquet');

INSERT INTO findings SELECT gateway, change_window, 'L3', 'redactions', name FROM redacted r
WHERE NOT EXISTS (FROM stood s WHERE s.gateway = r.gateway AND s.change_window = r.change_window AND s.name = r.name AND s.sha256 = r.sha256)
  AND EXISTS (FROM notes n WHERE n.gateway = r.gateway AND n.change_window = r.change_window AND n.sound);

CREATE OR REPLACE TEMP TABLE standing AS
SELECT s.*, f.filename, f.filename IS NOT NULL AND f.sha256 = s.sha256 AND f.size = s.bytes AS fits
FROM stood s
LEFT JOIN found f ON f.gateway = s.gateway AND f.folder = s.change_window AND f.name = s.name
WHERE NOT EXISTS (FROM redacted r WHERE r.gateway = s.gateway AND r.change_window = s.change_window AND r.name = s.name);

INSERT INTO findings SELECT gateway, change_window, 'L0', 'files', name FROM standing WHERE NOT fits;
INSERT INTO findings SELECT gateway, change_window, 'L0', 'files', any_value(name) FROM standing GROUP BY gateway, change_window, name HAVING count(*) > 1;
INSERT INTO findings SELECT f.gateway, f.folder, 'L0', 'files', f.name FROM found f
JOIN notes n ON n.gateway = f.gateway AND n.change_window = f.folder AND n.sound
WHERE f.name <> 'ledger.note'
  AND NOT EXISTS (FROM standing s WHERE s.gateway = f.gateway AND s.change_window = f.folder AND s.name = f.name)
  AND NOT (f.name = 'ledger.tsr' AND EXISTS (
      FROM windows w WHERE w.gateway = f.gateway AND w.change_window = f.folder AND w.timestamp_sha256 IS NOT NULL));
INSERT INTO findings SELECT w.gateway, w.change_window, 'L3', 'redactions', 'ledger.tsr' FROM windows w
JOIN notes n USING (gateway, change_window)
LEFT JOIN found f ON f.gateway = w.gateway AND f.folder = w.change_window AND f.name = 'ledger.tsr'
WHERE n.sound AND w.timestamp_sha256 IS NOT NULL AND f.sha256 IS DISTINCT FROM w.timestamp_sha256;

-- Ledgers that are looked into: every file of them has the bytes that it must have. Of the others nothing is said above L0.
CREATE OR REPLACE TEMP TABLE ledgers AS
SELECT n.*, coalesce(w.payloads_removed, false) AS payloads_removed,
    n.sound AND NOT coalesce(w.removed, false) AND b.change_window IS NULL AS walked
FROM notes n LEFT JOIN windows w USING (gateway, change_window)
LEFT JOIN (SELECT DISTINCT gateway, change_window FROM findings WHERE level = 'L0') b USING (gateway, change_window);

-- ---- Canonical CBOR (§2), in hex digits: hashed bytes are decoded once, at the end -------------------------------------------------------

CREATE OR REPLACE TEMP MACRO cbor_head(major, number) AS CASE
    WHEN number < 24 THEN lpad(hex((major * 32 + number)::UBIGINT), 2, '0')
    WHEN number < 256 THEN hex((major * 32 + 24)::UBIGINT) || lpad(hex(number::UBIGINT), 2, '0')
    WHEN number < 65536 THEN hex((major * 32 + 25)::UBIGINT) || lpad(hex(number::UBIGINT), 4, '0')
    WHEN number < 4294967296 THEN hex((major * 32 + 26)::UBIGINT) || lpad(hex(number::UBIGINT), 8, '0')
    ELSE hex((major * 32 + 27)::UBIGINT) || lpad(hex(number::UBIGINT), 16, '0') END;
-- Major type 0 is written out apart: 0 * 32 + number has to stay below 2^64.
CREATE OR REPLACE TEMP MACRO cbor_unsigned(number) AS CASE
    WHEN number IS NULL THEN 'F6'
    WHEN number < 24 THEN lpad(hex(number::UBIGINT), 2, '0')
    WHEN number < 256 THEN '18' || lpad(hex(number::UBIGINT), 2, '0')
    WHEN number < 65536 THEN '19' || lpad(hex(number::UBIGINT), 4, '0')
    WHEN number < 4294967296 THEN '1A' || lpad(hex(number::UBIGINT), 8, '0')
    ELSE '1B' || lpad(hex(number::UBIGINT), 16, '0') END;
CREATE OR REPLACE TEMP MACRO cbor_signed(number) AS CASE
    WHEN number >= 0 THEN cbor_unsigned(number::UBIGINT) ELSE cbor_head(1, -1 - number) END;
CREATE OR REPLACE TEMP MACRO cbor_bytes(value) AS coalesce(cbor_head(2, octet_length(value)) || hex(value), 'F6');
CREATE OR REPLACE TEMP MACRO cbor_text(value) AS coalesce(cbor_head(3, strlen(value)) || hex(encode(value)), 'F6');
CREATE OR REPLACE TEMP MACRO cbor_texts(list) AS
    cbor_head(4, len(list)) || array_to_string(list_transform(list, lambda item: cbor_text(item)), '');
CREATE OR REPLACE TEMP MACRO sha_hex(digits) AS sha256(unhex(digits));

-- ---- Records (§3): preimages, hashes, chain, order -----------------------------------------------------------------------------------

SET VARIABLE record_files = (SELECT list(filename ORDER BY filename) FROM standing JOIN ledgers USING (gateway, change_window)
                             WHERE walked AND part_table = 'records');
CREATE OR REPLACE TEMP TABLE records AS
WITH cells AS (
    -- read_parquet takes no empty list.
    SELECT * FROM query(CASE WHEN len(getvariable('record_files')) > 0
        THEN 'SELECT * FROM read_parquet(getvariable(''record_files''), hive_partitioning = false, filename = true, file_row_number = true)'
        ELSE 'SELECT NULL::VARCHAR AS gateway, NULL::VARCHAR AS change_window, NULL::UBIGINT AS seq, NULL::TIMESTAMPTZ AS time, NULL::VARCHAR AS kind,
              NULL::UBIGINT AS call, NULL::VARCHAR AS session, NULL::VARCHAR AS principal, NULL::VARCHAR AS principal_kind, NULL::VARCHAR AS acting_for,
              NULL::VARCHAR AS attribution, NULL::VARCHAR AS credential, NULL::VARCHAR[] AS credential_chain, NULL::VARCHAR AS client_addr,
              NULL::VARCHAR AS user_agent, NULL::VARCHAR AS provider, NULL::VARCHAR AS account, NULL::VARCHAR AS region, NULL::VARCHAR AS service,
              NULL::VARCHAR AS operation, NULL::VARCHAR AS access, NULL::VARCHAR[] AS resources, NULL::VARCHAR AS method, NULL::VARCHAR AS host,
              NULL::VARCHAR AS path, NULL::VARCHAR AS decision, NULL::VARCHAR[] AS rules, NULL::USMALLINT AS status, NULL::VARCHAR AS error_code,
              NULL::VARCHAR AS upstream_request_id, NULL::UBIGINT AS duration_us, NULL::UBIGINT AS request_bytes, NULL::UBIGINT AS response_bytes,
              NULL::VARCHAR AS detail, NULL::BLOB AS payload_hash, NULL::BLOB AS hash, NULL::VARCHAR AS filename, NULL::BIGINT AS file_row_number
              WHERE false' END)
), placed AS (
    SELECT c.*, s.gateway AS of_gateway, s.change_window AS of_window, s.first_seq,
        row_number() OVER ledger - 1 AS due, lag(c.hash) OVER ledger AS previous
    FROM cells c JOIN standing s USING (filename)
    WINDOW ledger AS (PARTITION BY s.gateway, s.change_window ORDER BY s.first_seq, c.file_row_number)
)
SELECT of_gateway AS gateway, of_window AS change_window, due, first_seq, kind, call, session, principal, principal_kind, acting_for, epoch_us(time) AS micros, detail, lower(hex(hash)) AS hash, lower(hex(payload_hash)) AS payload_hash,
    seq = due AND gateway = of_gateway AND change_window = of_window AS in_place,
    regexp_full_match(kind, '[a-z][a-z0-9_]{0,31}') AND hash IS NOT NULL AND sha_hex(
        '9825' || cbor_text('sealgate/record/v1') || cbor_text(of_gateway) || cbor_text(of_window)
        || '5820' || coalesce(hex(previous), repeat('00', 32)) || cbor_unsigned(seq) || cbor_signed(epoch_us(time)) || cbor_text(kind) || cbor_unsigned(call)
        || cbor_text(session) || cbor_text(principal) || cbor_text(principal_kind) || cbor_text(acting_for) || cbor_text(attribution)
        || cbor_text(credential) || cbor_texts(credential_chain) || cbor_text(client_addr) || cbor_text(user_agent) || cbor_text(provider)
        || cbor_text(account) || cbor_text(region) || cbor_text(service) || cbor_text(operation) || cbor_text(access) || cbor_texts(resources)
        || cbor_text(method) || cbor_text(host) || cbor_text(path) || cbor_text(decision) || cbor_texts(rules) || cbor_unsigned(status)
        || cbor_text(error_code) || cbor_text(upstream_request_id) || cbor_unsigned(duration_us) || cbor_unsigned(request_bytes)
        || cbor_unsigned(response_bytes) || cbor_text(detail) || cbor_bytes(payload_hash)) = lower(hex(hash)) AS fits
FROM placed;

INSERT INTO findings SELECT gateway, change_window, 'L2', 'records', 'record ' || due FROM records WHERE NOT coalesce(fits AND in_place, false);
INSERT INTO findings SELECT s.gateway, s.change_window, 'L1', 'rows', s.name FROM standing s JOIN ledgers l USING (gateway, change_window)
WHERE l.walked AND s.part_table = 'records' AND (s.row_count <> s.records OR s.row_count <> (
    SELECT count(*) FROM records r WHERE r.gateway = s.gateway AND r.change_window = s.change_window AND r.first_seq = s.first_seq));
-- Parts follow each other without gap, and a payloads file belongs to a part.
INSERT INTO findings
SELECT gateway, change_window, 'L1', 'rows', sealed_name FROM (
    SELECT *, coalesce(sum(records) OVER (PARTITION BY gateway, change_window ORDER BY first_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS due
    FROM listed WHERE part_table = 'records') WHERE first_seq <> due
UNION ALL
SELECT gateway, change_window, 'L1', 'rows', p.sealed_name FROM listed p
WHERE part_table = 'payloads' AND NOT EXISTS (FROM listed r WHERE r.part_table = 'records' AND r.gateway = p.gateway
    AND r.change_window = p.change_window AND r.first_seq = p.first_seq AND r.records = p.records);

-- ---- The grammar of calls, and the counts (§8) -------------------------------------------------------------------------------------------

INSERT INTO findings SELECT gateway, change_window, 'L2', 'calls', 'record ' || due FROM records
WHERE (due = 0) <> (kind = 'window_open') OR (kind = 'intent' AND call IS DISTINCT FROM due);
-- What belongs to a call stands after its intent, and not after its outcome.
CREATE OR REPLACE TEMP TABLE outcomes AS
SELECT gateway, change_window, call, min(due) AS due, count(*) AS outcomes FROM records WHERE kind IN ('outcome', 'outcome_unknown') GROUP BY ALL;
INSERT INTO findings SELECT r.gateway, r.change_window, 'L2', 'calls', 'record ' || r.due FROM records r
LEFT JOIN records i ON i.gateway = r.gateway AND i.change_window = r.change_window AND i.due = r.call AND i.kind = 'intent'
LEFT JOIN outcomes o ON o.gateway = r.gateway AND o.change_window = r.change_window AND o.call = r.call
WHERE r.kind IN ('request_body', 'outcome', 'outcome_unknown') AND (i.due IS NULL OR i.due >= r.due OR r.due > o.due);
INSERT INTO findings SELECT l.gateway, l.change_window, 'L2', 'calls', 'call ' || i.due FROM ledgers l
JOIN records i ON i.gateway = l.gateway AND i.change_window = l.change_window AND i.kind = 'intent'
WHERE l.state = 'sealed' AND NOT EXISTS (FROM outcomes o WHERE o.gateway = i.gateway AND o.change_window = i.change_window AND o.call = i.due);
-- A sealed ledger ends with its only window_close, an open one has none.
INSERT INTO findings SELECT l.gateway, l.change_window, 'L2', 'calls', 'window_close' FROM ledgers l WHERE l.walked AND (
    SELECT count(*) FILTER (kind = 'window_close') <> (l.state = 'sealed')::INT
        OR (l.state = 'sealed' AND arg_max(kind, due) IS DISTINCT FROM 'window_close')
    FROM records r WHERE r.gateway = l.gateway AND r.change_window = l.change_window);

CREATE OR REPLACE TEMP MACRO counts_text(counts) AS
    array_to_string(list_sort(list_transform(json_keys(counts), lambda kind: kind || '=' || (counts->>('$."' || kind || '"')))), ' ');
CREATE OR REPLACE TEMP TABLE kinds AS
SELECT gateway, change_window, array_to_string(list_sort(list(kind || '=' || of_kind)), ' ') AS counts
FROM (SELECT gateway, change_window, kind, count(*) AS of_kind FROM records GROUP BY ALL) GROUP BY ALL;
INSERT INTO findings SELECT l.gateway, l.change_window, 'L2', 'counts', 'manifest' FROM ledgers l LEFT JOIN kinds k USING (gateway, change_window)
WHERE l.walked AND counts_text(l.manifest->'$.counts') IS DISTINCT FROM coalesce(k.counts, '');
INSERT INTO findings SELECT r.gateway, r.change_window, 'L2', 'counts', 'record ' || r.due FROM records r JOIN kinds k USING (gateway, change_window)
WHERE r.kind = 'window_close' AND counts_text(TRY_CAST(r.detail AS JSON)->'$.counts') IS DISTINCT FROM k.counts;

-- ---- What sessions rest on (§14), save for the signatures: as the statements say that no key is asked about --------------------------------

CREATE OR REPLACE TEMP MACRO micros_of(instant) AS CASE WHEN regexp_full_match(instant, '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z')
    THEN epoch_us(TRY_CAST(instant AS TIMESTAMPTZ)) END;
CREATE OR REPLACE TEMP TABLE acts AS
SELECT gateway, change_window, due, kind, session, principal, principal_kind, acting_for, micros, d, TRY_CAST((d->>'$.statement') AS JSON) AS s,
    (d->>'$.request') AS request, coalesce((d->>'$.requester'), (d->>'$.opened_by')) AS requester, TRY_CAST((d->>'$.needs') AS UBIGINT) AS needs,
    TRY_CAST((d->'$.approvals') AS UBIGINT[]) AS approvals, micros_of((d->>'$.expires')) AS expires,
    kind IN ('session_open', 'session_extend') AND (coalesce((d->>'$.needs'), '[]') <> '[]' OR coalesce((d->>'$.approvals'), '[]') <> '[]') AS rests
FROM (SELECT *, TRY_CAST(detail AS JSON) AS d FROM records WHERE kind LIKE 'session_%');
-- A statement is of its record's ledger, session and principal, by somebody who is not involved.
INSERT INTO findings SELECT gateway, change_window, 'L2', 'people', 'record ' || due FROM acts
WHERE (kind IN ('session_approve', 'session_review') OR (kind IN ('session_request', 'session_open', 'session_deny', 'session_revoke') AND (d->>'$.statement') IS NOT NULL))
  AND NOT coalesce((s->>'$.format') = 'sealgate/statement/v1' AND (d->>'$.signature') LIKE '-----BEGIN SSH SIGNATURE-----%' AND (d->>'$.key') LIKE 'SHA256:%'
    AND (d->>'$.signer') = (s->>'$.signer') AND (s->>'$.gateway') = gateway AND (kind = 'session_review' OR (s->>'$.window') = change_window)
    AND list_contains(CASE kind WHEN 'session_approve' THEN ['approve', 'extend'] WHEN 'session_open' THEN ['request'] ELSE [kind[9:]] END, (s->>'$.act'))
    AND (s->>'$.session') IS NOT DISTINCT FROM CASE WHEN kind <> 'session_open' THEN session END AND (s->>'$.principal') = principal
    AND (s->>'$.principal_kind') = principal_kind AND (s->>'$.acting_for') IS NOT DISTINCT FROM acting_for
    AND (kind NOT IN ('session_approve', 'session_review') OR NOT list_contains([(s->>'$.principal'), (s->>'$.requester'), (s->>'$.acting_for')], (s->>'$.signer')))
    AND (kind NOT IN ('session_request', 'session_open') OR (s->>'$.signer') = (s->>'$.requester')), false);
-- What is given on a request is given on one that was made.
INSERT INTO findings SELECT a.gateway, a.change_window, 'L2', 'people', 'record ' || a.due FROM acts a
WHERE a.kind IN ('session_open', 'session_extend') AND a.request IS NOT NULL AND NOT EXISTS (FROM acts r
    WHERE r.gateway = a.gateway AND r.change_window = a.change_window AND r.kind = 'session_request' AND r.request = a.request AND r.due < a.due);
-- Approvals: as many as it needs, before it, by different people, of what it gives, each request once.
CREATE OR REPLACE TEMP TABLE rested AS
WITH named AS (
    SELECT a.gateway, a.change_window, a.due, a.kind, a.needs, a.approvals, a.expires, a.request, o.expires AS until, n.seq, n.of,
        (p.d->>'$.key') AS key, (p.s->>'$.signer') AS signer, p.micros, TRY_CAST((p.s->>'$.seconds') AS BIGINT) AS seconds,
        coalesce(p.due < a.due AND (p.s->>'$.act') = CASE a.kind WHEN 'session_open' THEN 'approve' ELSE 'extend' END
            AND (p.s->>'$.session') IS NOT DISTINCT FROM CASE WHEN a.kind = 'session_extend' THEN a.session END
            AND (p.s->>'$.request') = a.request AND TRY_CAST((p.s->>'$.needs') AS UBIGINT) = a.needs AND (p.s->>'$.requester') = a.requester
            AND (p.s->>'$.principal') = a.principal AND (p.s->>'$.principal_kind') = a.principal_kind AND (p.s->>'$.acting_for') IS NOT DISTINCT FROM a.acting_for
            AND (p.s->>'$.basis') = (a.d->>'$.basis') AND (p.s->>'$.reason') = (a.d->>'$.reason')
            AND (p.s->>'$.account') IS NOT DISTINCT FROM (coalesce(o.d, a.d)->>'$.account') AND (p.s->>'$.role') IS NOT DISTINCT FROM (coalesce(o.d, a.d)->>'$.role')
            AND p.micros < coalesce(micros_of((p.s->>'$.opens_before')) + 60000000, 9223372036854775807), false) AS fits
    FROM acts a
    LEFT JOIN LATERAL (SELECT unnest(a.approvals) AS seq, unnest(range(len(a.approvals))) AS of) n ON true
    LEFT JOIN acts p ON p.gateway = a.gateway AND p.change_window = a.change_window AND p.due = n.seq AND p.kind = 'session_approve'
    -- Of more time: the session's opening, and the end that it had before.
    LEFT JOIN LATERAL (SELECT arg_min(b.d, b.due) AS d, arg_max(b.expires, b.due) AS expires FROM acts b WHERE a.kind = 'session_extend' AND b.gateway = a.gateway
        AND b.change_window = a.change_window AND b.session = a.session AND b.kind IN ('session_open', 'session_extend') AND b.due < a.due) o ON true
    WHERE a.rests
)
SELECT gateway, change_window, due, any_value(request) AS request, coalesce(any_value(needs) BETWEEN 1 AND 64 AND count(seq) BETWEEN any_value(needs) AND 64
    AND bool_and(fits) AND count(DISTINCT signer) = count(seq) AND count(DISTINCT key) = count(seq)
    AND any_value(expires) <= CASE any_value(kind) WHEN 'session_open' THEN max(micros) + 60000000 ELSE any_value(until) END + min(seconds) * 1000000, false) AS holds
FROM named GROUP BY gateway, change_window, due;
INSERT INTO findings SELECT gateway, change_window, 'L2', 'people', 'record ' || due FROM rested WHERE NOT holds;
INSERT INTO findings SELECT gateway, change_window, 'L2', 'people', 'request ' || request FROM rested WHERE request IS NOT NULL
GROUP BY gateway, change_window, request HAVING count(*) > 1;
INSERT INTO findings SELECT gateway, change_window, 'L2', 'people', 'record ' || due FROM acts WHERE kind IN ('session_open', 'session_extend')
AND rests::INT + coalesce(json_type((d->'$.rule')) = 'VARCHAR', false)::INT + coalesce((d->'$.break_glass') = 'true', false)::INT > 1;
-- Who is known by an SSH key has asked with it.
INSERT INTO findings SELECT a.gateway, a.change_window, 'L2', 'people', 'record ' || a.due FROM acts a
WHERE a.kind = 'session_open' AND (a.d->>'$.basis') LIKE 'ssh %' AND NOT EXISTS (FROM acts r
    WHERE r.gateway = a.gateway AND r.change_window = a.change_window AND r.s IS NOT NULL AND 'ssh ' || ((r.d->>'$.key')) = (a.d->>'$.basis')
    AND (r.due = a.due OR (r.due < a.due AND r.kind = 'session_request' AND r.request = a.request)));
-- A review is of a session that its window opens, where that window is here.
INSERT INTO findings SELECT v.gateway, v.change_window, 'L2', 'people', 'record ' || v.due FROM acts v
JOIN ledgers l ON l.gateway = v.gateway AND l.change_window = (v.s->>'$.window')
WHERE v.kind = 'session_review' AND l.walked AND NOT EXISTS (FROM acts o WHERE o.gateway = v.gateway AND o.change_window = l.change_window AND o.kind = 'session_open'
    AND o.session = (v.s->>'$.session') AND (o.change_window <> v.change_window OR o.due < v.due) AND o.principal = v.principal AND o.requester = (v.s->>'$.requester')
    AND (o.d->>'$.account') IS NOT DISTINCT FROM (v.s->>'$.account') AND (o.d->>'$.role') IS NOT DISTINCT FROM (v.s->>'$.role')
    AND (o.d->>'$.basis') = (v.s->>'$.basis') AND (o.d->>'$.reason') = (v.s->>'$.reason') AND coalesce((o.d->>'$.key'), '') <> (v.d->>'$.key'));
-- What each session rests on: whose names and keys these are, the other verifiers say.
CREATE OR REPLACE TEMP TABLE sessions AS
SELECT a.gateway, a.change_window, a.due AS seq, a.session, a.principal, CASE WHEN a.rests THEN 'approvals' WHEN (a.d->>'$.rule') IS NOT NULL THEN 'rule'
        WHEN (a.d->'$.break_glass') = 'true' THEN 'break-glass' ELSE 'word' END AS rests_on, a.request,
    CASE WHEN a.rests THEN (SELECT list((p.d->>'$.signer') ORDER BY p.due) FROM acts p WHERE p.gateway = a.gateway AND p.change_window = a.change_window
        AND p.kind = 'session_approve' AND list_contains(a.approvals, p.due)) END AS said_to_approve,
    (SELECT count(*) FROM acts v WHERE v.gateway = a.gateway AND v.kind = 'session_review' AND (v.s->>'$.window') = a.change_window AND v.session = a.session) AS reviews
FROM acts a WHERE a.kind = 'session_open';

-- ---- Payload rows (§4) ----------------------------------------------------------------------------------------------------------------

SET VARIABLE payload_files = (SELECT list(filename ORDER BY filename) FROM standing JOIN ledgers USING (gateway, change_window)
                              WHERE walked AND part_table = 'payloads' AND key IS NULL);
SET VARIABLE fields = ['query', 'headers', 'body', 'body_bytes', 'body_sha256', 'body_capture', 'parameters', 'proof'];
CREATE OR REPLACE TEMP MACRO salt_of(row_salt, salts, field_name) AS CASE
    WHEN row_salt IS NOT NULL THEN sha_hex(hex(encode('sealgate/salt/v1')) || '00' || hex(row_salt) || hex(encode(field_name)))
    ELSE lower(hex(list_filter(salts, lambda pair: pair.field = field_name)[1].salt)) END;
CREATE OR REPLACE TEMP MACRO commitment_of(row_salt, salts, erased, field_name, value) AS CASE
    WHEN len(list_filter(erased, lambda pair: pair.field = field_name)) > 0 THEN hex(list_filter(erased, lambda pair: pair.field = field_name)[1]."commitment")
    WHEN value = 'F6' THEN repeat('00', 32)
    -- A value without a salt can't be committed to: NULL matches no record.
    ELSE sha_hex(hex(encode('sealgate/field/v1')) || '00' || salt_of(row_salt, salts, field_name) || value) END;

CREATE OR REPLACE TEMP TABLE payloads AS
WITH cells AS (
    SELECT * FROM query(CASE WHEN len(getvariable('payload_files')) > 0
        THEN 'SELECT * FROM read_parquet(getvariable(''payload_files''), hive_partitioning = false, filename = true, file_row_number = true)'
        ELSE 'SELECT NULL::VARCHAR AS gateway, NULL::VARCHAR AS change_window, NULL::UBIGINT AS seq, NULL::BLOB AS row_salt,
              NULL::STRUCT(field VARCHAR, salt BLOB)[] AS salts, NULL::VARCHAR AS query, NULL::STRUCT("name" VARCHAR, "value" VARCHAR)[] AS headers,
              NULL::BLOB AS body, NULL::UBIGINT AS body_bytes, NULL::BLOB AS body_sha256, NULL::VARCHAR AS body_capture, NULL::VARCHAR AS parameters,
              NULL::VARCHAR AS proof, NULL::STRUCT(field VARCHAR, "commitment" BLOB)[] AS erased, NULL::VARCHAR AS filename,
              NULL::BIGINT AS file_row_number WHERE false' END)
), encoded AS (
    SELECT c.*, s.gateway AS of_gateway, s.change_window AS of_window, s.first_seq, s.records AS of_records,
        [cbor_text(query),
         coalesce(cbor_head(4, len(headers)) || array_to_string(list_transform(headers, lambda pair: '82' || cbor_text(pair.name) || cbor_text(pair.value)), ''), 'F6'),
         cbor_bytes(body), cbor_unsigned(body_bytes), cbor_bytes(body_sha256), cbor_text(body_capture), cbor_text(parameters), cbor_text(proof)] AS digits,
        list_transform(salts, lambda pair: pair.field) AS salted, list_transform(erased, lambda pair: pair.field) AS gone
    FROM cells c JOIN standing s USING (filename)
)
SELECT of_gateway AS gateway, of_window AS change_window, first_seq, of_records, seq, gone,
    gateway = of_gateway AND change_window = of_window
        AND coalesce(seq > lag(seq) OVER (PARTITION BY of_gateway, of_window, first_seq ORDER BY file_row_number), true) AS in_place,
    -- The rules of §4: without them a value that no commitment binds could stand in a row whose hash is right.
    list_filter(getvariable('fields')::VARCHAR[], lambda field: list_contains(salted, field)) = salted
        AND list_filter(getvariable('fields')::VARCHAR[], lambda field: list_contains(gone, field)) = gone
        AND (row_salt IS NULL OR len(salted) + len(gone) = 0)
        AND NOT list_has_any(salted, gone)
        AND len(list_filter(list_zip(getvariable('fields')::VARCHAR[], digits), lambda pair: pair[2] <> 'F6'
            AND (list_contains(gone, pair[1]) OR (row_salt IS NULL AND NOT list_contains(salted, pair[1]))))) = 0
        AND coalesce(body_capture IN ('full', 'truncated', 'redacted', 'omitted', 'streamed'), true) AS sound,
    coalesce(body_capture NOT IN ('full', 'redacted'), true) OR body IS NULL OR body_sha256 IS NULL
        OR (sha256(body) = lower(hex(body_sha256)) AND (body_capture <> 'full' OR coalesce(octet_length(body) = body_bytes, list_contains(gone, 'body_bytes')))) AS body_fits,
    sha_hex(hex(encode('sealgate/payload/v1')) || '00'
        || commitment_of(row_salt, salts, erased, 'query', digits[1]) || commitment_of(row_salt, salts, erased, 'headers', digits[2])
        || commitment_of(row_salt, salts, erased, 'body', digits[3]) || commitment_of(row_salt, salts, erased, 'body_bytes', digits[4])
        || commitment_of(row_salt, salts, erased, 'body_sha256', digits[5]) || commitment_of(row_salt, salts, erased, 'body_capture', digits[6])
        || commitment_of(row_salt, salts, erased, 'parameters', digits[7]) || commitment_of(row_salt, salts, erased, 'proof', digits[8])) AS payload_hash
FROM encoded;

INSERT INTO findings SELECT p.gateway, p.change_window, 'L2', 'payloads', 'record ' || p.seq FROM payloads p
LEFT JOIN records r ON r.gateway = p.gateway AND r.change_window = p.change_window AND r.due = p.seq AND r.first_seq = p.first_seq
WHERE NOT coalesce(p.in_place AND p.sound AND p.body_fits AND p.payload_hash = r.payload_hash, false);
-- Where a part's payloads file is encrypted or was taken away, nothing is said of its rows.
CREATE OR REPLACE TEMP TABLE unread AS
SELECT gateway, change_window, first_seq FROM listed l WHERE part_table = 'payloads' AND (key IS NOT NULL OR NOT EXISTS (
    FROM standing s WHERE s.gateway = l.gateway AND s.change_window = l.change_window AND s.part_table = 'payloads' AND s.first_seq = l.first_seq));
INSERT INTO findings SELECT r.gateway, r.change_window, 'L2', 'payloads', 'record ' || r.due FROM records r
ANTI JOIN payloads p ON p.gateway = r.gateway AND p.change_window = r.change_window AND p.seq = r.due AND p.first_seq = r.first_seq
ANTI JOIN unread u ON u.gateway = r.gateway AND u.change_window = r.change_window AND u.first_seq = r.first_seq
WHERE r.payload_hash IS NOT NULL;
INSERT INTO findings SELECT s.gateway, s.change_window, 'L1', 'rows', s.name FROM standing s JOIN ledgers l USING (gateway, change_window)
WHERE l.walked AND s.part_table = 'payloads' AND s.key IS NULL AND s.row_count <> (
    SELECT count(*) FROM payloads p WHERE p.gateway = s.gateway AND p.change_window = s.change_window AND p.first_seq = s.first_seq);
-- Each erasure has its entry in the log.
CREATE OR REPLACE TEMP TABLE erasures AS
SELECT gateway, change_window, field, sum(rows_hold) AS rows_hold, sum(log_says) AS log_says FROM (
    SELECT gateway, change_window, unnest(gone) AS field, 1 AS rows_hold, 0 AS log_says FROM payloads
    UNION ALL
    SELECT gateway, change_window, field, 0, (said->>('$.fields."' || field || '"'))::BIGINT
    FROM (SELECT *, unnest(json_keys(said->'$.fields')) AS field FROM entries WHERE type = 'redaction')
) GROUP BY ALL;
INSERT INTO findings SELECT e.gateway, e.change_window, 'L2', 'payloads', 'erased ' || e.field FROM erasures e
JOIN ledgers l USING (gateway, change_window)
WHERE l.walked AND NOT l.payloads_removed AND e.rows_hold <> e.log_says
  AND NOT EXISTS (FROM unread u WHERE u.gateway = e.gateway AND u.change_window = e.change_window);

-- ---- Trees (§5): the complete subtrees of every ledger and log, and the roots at every size that somebody names ----------------------------

CREATE OR REPLACE TEMP TABLE nodes AS
WITH RECURSIVE levels(gateway, change_window, level, number, hash) AS (
    SELECT gateway, change_window, 0, due, sha_hex('00' || hash) FROM records
    UNION ALL
    SELECT gateway, '_log', 0, entry, sha_hex('00' || digits) FROM entries
), tree(gateway, change_window, level, number, hash) AS (
    FROM levels
    UNION ALL
    SELECT gateway, change_window, any_value(level) + 1, number // 2, sha_hex('01' || string_agg(hash, '' ORDER BY number))
    FROM tree GROUP BY gateway, change_window, number // 2 HAVING count(*) = 2
)
SELECT * FROM tree;

CREATE OR REPLACE TEMP TABLE marks AS
SELECT gateway, change_window, (said->>'$.records')::BIGINT AS size, (said->>'$.root') AS root, 'L3' AS level, 'entry ' || entry AS place
FROM entries WHERE type IN ('open', 'head', 'seal')
UNION ALL SELECT gateway, change_window, size::BIGINT, root, 'L2', 'ledger.note' FROM ledgers WHERE walked
UNION ALL SELECT gateway, '_log', size::BIGINT, root, 'L3', 'checkpoint' FROM checkpoints WHERE size IS NOT NULL
UNION ALL SELECT gateway, '_log', TRY_CAST(lines[2] AS BIGINT), lower(hex(try(from_base64(lines[3])))), 'L3', name
FROM (SELECT gateway, name, string_split(try(decode(content)), chr(10)) AS lines FROM found
      WHERE folder = '_log' AND (name = 'cosigned' OR name LIKE 'handover-%'));

-- The root at a size: its complete subtrees, one for each set bit, joined from the smallest.
CREATE OR REPLACE TEMP TABLE roots AS
WITH sizes AS (SELECT DISTINCT gateway, change_window, size FROM marks WHERE size > 0),
bits AS (SELECT *, unnest(range(0, 40)) AS bit FROM sizes),
peaks AS (
    SELECT b.gateway, b.change_window, b.size, list(n.hash ORDER BY b.bit) AS hashes, bool_and(n.hash IS NOT NULL) AS complete
    FROM bits b LEFT JOIN nodes n ON n.gateway = b.gateway AND n.change_window = b.change_window AND n.level = b.bit AND n.number = (b.size >> b.bit) - 1
    WHERE (b.size >> b.bit) & 1 = 1 GROUP BY ALL
)
SELECT gateway, change_window, size, CASE WHEN complete THEN list_reduce(hashes, lambda below, left_of: sha_hex('01' || left_of || below)) END AS root FROM peaks
UNION ALL SELECT DISTINCT gateway, change_window, 0, sha256('') FROM marks WHERE size = 0;

INSERT INTO findings SELECT m.gateway, nullif(m.change_window, '_log'), m.level, CASE WHEN m.change_window = '_log' THEN 'tree' ELSE 'roots' END, m.place
FROM marks m LEFT JOIN roots r USING (gateway, change_window, size) LEFT JOIN ledgers l USING (gateway, change_window)
WHERE r.root IS DISTINCT FROM m.root AND (m.change_window = '_log' OR (l.walked AND m.size <= l.size));
INSERT INTO findings SELECT l.gateway, l.change_window, 'L2', 'roots', 'head' FROM ledgers l WHERE l.walked AND l.head IS DISTINCT FROM coalesce(
    (SELECT arg_max(hash, due) FROM records r WHERE r.gateway = l.gateway AND r.change_window = l.change_window), repeat('00', 32));
INSERT INTO findings SELECT l.gateway, l.change_window, 'L2', 'roots', 'number of records' FROM ledgers l WHERE l.walked AND l.size <> (
    SELECT count(*) FROM records r WHERE r.gateway = l.gateway AND r.change_window = l.change_window);

-- The files of the log: those that its size calls for.
CREATE OR REPLACE TEMP MACRO tile_path(kind, number, width) AS 'tile/' || kind || '/'
    || CASE WHEN number >= 1000000 THEN 'x' || lpad((number // 1000000)::VARCHAR, 3, '0') || '/' ELSE '' END
    || CASE WHEN number >= 1000 THEN 'x' || lpad((number // 1000 % 1000)::VARCHAR, 3, '0') || '/' ELSE '' END
    || lpad((number % 1000)::VARCHAR, 3, '0') || CASE WHEN width = 256 THEN '' ELSE '.p/' || width END;
CREATE OR REPLACE TEMP TABLE tiles AS
SELECT gateway, tile_path((level // 8)::VARCHAR, number // 256, count(*)) AS name, sha_hex(string_agg(hash, '' ORDER BY number)) AS sha256
FROM nodes WHERE change_window = '_log' AND level % 8 = 0 GROUP BY gateway, level, number // 256
UNION ALL
SELECT gateway, tile_path('entries', number, count(*)), NULL FROM entries GROUP BY gateway, number;
INSERT INTO findings SELECT gateway, NULL, 'L3', 'tree', coalesce(t.name, f.name)
FROM tiles t FULL JOIN (SELECT gateway, name, sha256 FROM found WHERE folder = '_log' AND name NOT IN ('checkpoint', 'cosigned')
                        AND NOT EXISTS (FROM entries e WHERE e.gateway = found.gateway AND e.entry > 0 AND e.type = 'key' AND (e.said->>'$.action') = 'adopt'
                            AND found.name = 'handover-' || lpad((e.entry + 1)::VARCHAR, greatest(12, length((e.entry + 1)::VARCHAR))::INT, '0'))) f USING (gateway, name)
WHERE t.name IS NULL OR f.name IS NULL OR t.sha256 <> f.sha256;
INSERT INTO findings SELECT e.gateway, NULL, 'L3', 'tree', 'handover of entry ' || e.entry FROM entries e
WHERE e.entry > 0 AND e.type = 'key' AND (e.said->>'$.action') = 'adopt' AND NOT EXISTS (FROM found f WHERE f.gateway = e.gateway AND f.folder = '_log'
    AND f.name = 'handover-' || lpad((e.entry + 1)::VARCHAR, greatest(12, length((e.entry + 1)::VARCHAR))::INT, '0'));

-- ---- Ledgers against the log (L3), and completeness (L5) ------------------------------------------------------------------------------------

INSERT INTO findings SELECT l.gateway, l.change_window, 'L3', 'seal', 'ledger.note' FROM ledgers l LEFT JOIN windows w USING (gateway, change_window)
WHERE NOT coalesce(w.opened, false) OR (w.sealed IS NOT NULL AND (w.note IS DISTINCT FROM l.sha256
    OR (l.sound AND (l.state <> 'sealed' OR w.sealed <> l.size OR w.root <> l.root))));
INSERT INTO findings SELECT w.gateway, w.change_window, 'L5', 'length', coalesce(w.length, 0) || ' records named, ' || coalesce(l.size, 0) || ' here'
FROM windows w LEFT JOIN ledgers l USING (gateway, change_window)
WHERE w.opened AND w.sealed IS DISTINCT FROM 0 AND ((l.gateway IS NULL) OR (l.sound AND l.size < w.length));
INSERT INTO findings SELECT l.gateway, l.change_window, 'L5', 'length', 'sealed, and not in the log' FROM ledgers l JOIN windows w USING (gateway, change_window)
WHERE l.sound AND l.state = 'sealed' AND w.sealed IS NULL;

-- ---- The verdicts ---------------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE TEMP TABLE verdicts AS
WITH checks(level, subject, says, of_log, above_bytes) AS (VALUES
    ('L0', 'folders', 'only folders of gateways and windows', true, false),
    ('L3', 'tree', 'entries, tiles and signed sizes of the windows log have its root', true, false),
    ('L3', 'keys', 'signatures, keys, and order of entries of the windows log', true, NULL),
    ('L0', 'note', 'form and names of the note', false, false),
    ('L0', 'signature', 'signature of the note', false, NULL),
    ('L0', 'files', 'set, length and SHA-256 of the files', false, false),
    ('L1', 'rows', 'number of rows, parts without gap', false, true),
    ('L1', 'structure', 'Parquet structure and statistics', false, NULL),
    ('L2', 'records', 'hash, place and link of each record', false, true),
    ('L2', 'roots', 'tree root, head, number of records', false, true),
    ('L2', 'calls', 'each call has its outcome, the ledger its end', false, true),
    ('L2', 'counts', 'records by kind', false, true),
    ('L2', 'people', 'requests, approvals and reviews that sessions rest on', false, true),
    ('L2', 'payloads', 'commitment of each payload row', false, true),
    ('L3', 'roots', 'roots that the windows log names', false, true),
    ('L3', 'seal', 'the window is opened, and sealed with this note', false, false),
    ('L3', 'redactions', 'redactions and timestamp', false, false),
    ('L4', 'witnesses', 'witnesses and timestamps', false, NULL),
    ('L6', 'signers', 'signatures of people, and whose keys they are', false, NULL),
    ('L5', 'length', 'the window is there, to its length', false, false)
), subjects AS (
    SELECT gateway, NULL AS change_window, true AS of_log, true AS walked FROM (SELECT DISTINCT gateway FROM found WHERE len(parts) >= 3)
    UNION ALL SELECT gateway, change_window, false, walked FROM ledgers
    UNION ALL SELECT DISTINCT gateway, change_window, false, false FROM findings f
    WHERE change_window IS NOT NULL AND NOT EXISTS (FROM ledgers l WHERE l.gateway = f.gateway AND l.change_window = f.change_window)
    UNION ALL SELECT DISTINCT gateway, NULL, true, true FROM findings f
    WHERE change_window IS NULL AND gateway NOT IN (SELECT gateway FROM found WHERE len(parts) >= 3)
), counted AS (
    SELECT gateway, change_window, level, subject, count(*) AS findings, min(place) AS first_place FROM findings GROUP BY ALL
)
SELECT s.gateway, s.change_window, c.level, c.says AS checked,
    CASE WHEN f.findings > 0 THEN 'FAIL' WHEN c.above_bytes IS NULL OR (c.above_bytes AND NOT s.walked) THEN 'NOT CHECKED' ELSE 'PASS' END AS verdict,
    coalesce(f.findings, 0) AS findings, f.first_place
FROM subjects s JOIN checks c USING (of_log)
LEFT JOIN counted f ON f.gateway = s.gateway AND f.change_window IS NOT DISTINCT FROM s.change_window AND f.level = c.level AND f.subject = c.subject
ORDER BY verdict <> 'FAIL', s.gateway, s.change_window NULLS FIRST, c.level, c.says;

SELECT gateway, size AS entries, root AS log_root, 'compare with a checkpoint that you trust' AS note FROM checkpoints ORDER BY gateway;
SELECT gateway, change_window, seq, session, principal, rests_on, request, said_to_approve, reviews FROM sessions ORDER BY ALL;
SELECT gateway, change_window, level, checked, verdict, findings, first_place FROM verdicts;
SELECT count(DISTINCT (gateway, change_window)) FILTER (change_window IS NOT NULL) AS ledgers, count(*) FILTER (verdict = 'PASS') AS checks_held,
    count(*) FILTER (verdict = 'FAIL') AS checks_failed, count(*) FILTER (verdict = 'NOT CHECKED') AS not_checked, 'signatures are not checked here' AS note
FROM verdicts;
SELECT CASE WHEN (SELECT count(*) FROM findings) > 0 THEN error('evidence does not hold: ' || (SELECT count(*) FROM findings) || ' findings, see the table')
            WHEN (SELECT count(*) FROM ledgers) = 0 THEN error('nothing to check was found, which is not a pass')
            ELSE 'what was checked holds' END AS result;
