-- Views over Sealgate evidence for plain DuckDB (tested with 1.5 and 2.0). Nothing here verifies: run `sealgate verify` or verify.py first,
-- and query the files that were verified.
--
-- 1. Say which files. By globs:
--      SET VARIABLE record_files  = (SELECT list(file ORDER BY file) FROM glob('home/evidence/*/*/records-*.parquet'));
--      SET VARIABLE payload_files = (SELECT list(file ORDER BY file) FROM glob('home/evidence/*/*/payloads-*.parquet'));
--    or one by one, which is what a verified manifest lists:
--      SET VARIABLE record_files  = ['home/evidence/gw-1/CHG-1/records-000000000000.parquet'];
--      SET VARIABLE payload_files = [];      -- payloads are restricted: without them their columns are empty
-- 2. .read schema/views.sql
--
-- The views read the variables at each query: set them again to look at other files. In a new session set them first.
-- Columns and units: schema/FORMAT.md §3 and §4. A record's name is (gateway, change_window, seq); `window` would be a keyword of SQL.

-- One row a record.
CREATE OR REPLACE VIEW records AS
SELECT * FROM read_parquet(getvariable('record_files'), hive_partitioning = false, union_by_name = false);

-- One row a payload, with its body as text: UTF-8 where it is that, otherwise with \xNN for the bytes that are not ASCII.
-- read_parquet takes no empty list, hence the choice.
CREATE OR REPLACE VIEW payloads AS
SELECT *, coalesce(try(decode(body)), body::VARCHAR) AS body_text
FROM query(
    CASE WHEN coalesce(len(getvariable('payload_files')), 0) > 0
    THEN 'SELECT * FROM read_parquet(getvariable(''payload_files''), hive_partitioning = false, union_by_name = false)'
    ELSE 'SELECT NULL::VARCHAR AS gateway, NULL::VARCHAR AS change_window, NULL::UBIGINT AS seq, NULL::BLOB AS row_salt,
              NULL::STRUCT(field VARCHAR, salt BLOB)[] AS salts, NULL::VARCHAR AS query,
              NULL::STRUCT("name" VARCHAR, "value" VARCHAR)[] AS headers, NULL::BLOB AS body, NULL::UBIGINT AS body_bytes,
              NULL::BLOB AS body_sha256, NULL::VARCHAR AS body_capture, NULL::VARCHAR AS parameters, NULL::VARCHAR AS proof,
              NULL::STRUCT(field VARCHAR, "commitment" BLOB)[] AS erased
          WHERE false'
    END);

-- One row a call: its intent, how it ended, and what was captured of both directions.
CREATE OR REPLACE VIEW calls AS
WITH outcomes AS (
    SELECT * FROM records WHERE kind IN ('outcome', 'outcome_unknown')
), bodies AS (
    -- The body of a request that was still streaming at its intent.
    SELECT DISTINCT ON (gateway, change_window, call) gateway, change_window, call, seq, request_bytes
    FROM records WHERE kind = 'request_body'
    ORDER BY gateway, change_window, call, seq DESC
)
SELECT
    i.gateway, i.change_window, i.seq AS call, i.time AS started, o.time AS ended,
    i.session, i.principal, i.principal_kind, i.acting_for, i.attribution, i.credential, i.credential_chain,
    i.client_addr, i.user_agent,
    i.provider, coalesce(i.account, o.account) AS account, i.region, i.service, i.operation, i.access, i.resources,
    i.method, i.host, i.path, i.decision, i.rules,
    o.kind AS outcome, o.status, o.error_code, o.upstream_request_id, o.duration_us,
    coalesce(o.request_bytes, b.request_bytes, i.request_bytes) AS request_bytes, o.response_bytes,
    i.detail AS intent_detail, o.detail AS outcome_detail,
    ip.query AS request_query, ip.headers AS request_headers, ip.parameters AS request_parameters, ip.proof AS request_proof,
    CASE WHEN streamed THEN bp.body ELSE ip.body END AS request_body,
    CASE WHEN streamed THEN bp.body_text ELSE ip.body_text END AS request_body_text,
    CASE WHEN streamed THEN bp.body_bytes ELSE ip.body_bytes END AS request_body_bytes,
    CASE WHEN streamed THEN bp.body_sha256 ELSE ip.body_sha256 END AS request_body_sha256,
    CASE WHEN streamed THEN bp.body_capture ELSE ip.body_capture END AS request_body_capture,
    op.headers AS response_headers, op.parameters AS response_parameters, op.body AS response_body,
    op.body_text AS response_body_text, op.body_bytes AS response_body_bytes, op.body_sha256 AS response_body_sha256,
    op.body_capture AS response_body_capture,
    i.hash AS intent_hash, o.seq AS outcome_seq, o.hash AS outcome_hash
FROM records i
LEFT JOIN outcomes o ON o.gateway = i.gateway AND o.change_window = i.change_window AND o.call = i.seq
LEFT JOIN bodies b ON b.gateway = i.gateway AND b.change_window = i.change_window AND b.call = i.seq
LEFT JOIN (SELECT *, coalesce(body_capture = 'streamed', false) AS streamed FROM payloads) ip
       ON ip.gateway = i.gateway AND ip.change_window = i.change_window AND ip.seq = i.seq
LEFT JOIN payloads bp ON bp.gateway = b.gateway AND bp.change_window = b.change_window AND bp.seq = b.seq
LEFT JOIN payloads op ON op.gateway = o.gateway AND op.change_window = o.change_window AND op.seq = o.seq
WHERE i.kind = 'intent';

-- One line an event, over all windows, in time order. A call is one line, at its start; `result` is how it ended.
-- Times of different gateways come from different clocks: within one ledger the order of (time, seq) is by seq.
CREATE OR REPLACE VIEW timeline AS
WITH events AS (
    SELECT r.time, r.gateway, r.change_window, r.seq, r.session, r.principal,
        CASE WHEN r.kind IN ('intent', 'refusal')
             THEN coalesce(r.service || ':' || r.operation, concat_ws(' ', r.service, r.method, r.path), r.kind)
             ELSE r.kind END AS what,
        r.access, r.host,
        CASE WHEN r.kind = 'refusal' THEN concat_ws(' ', 'refused', r.status, r.error_code, list_aggregate(r.rules, 'string_agg', ','))
             WHEN r.kind <> 'intent' THEN coalesce(r.detail->>'$.reason', r.detail->>'$.why', r.detail->>'$.title', r.detail)
             WHEN o.kind = 'outcome_unknown' THEN 'unknown'
             WHEN o.seq IS NULL THEN 'no outcome yet'
             ELSE concat_ws(' ', o.status, o.error_code, (o.duration_us // 1000) || ' ms') END AS result
    FROM records r
    LEFT JOIN records o
      ON r.kind = 'intent' AND o.gateway = r.gateway AND o.change_window = r.change_window AND o.call = r.seq
         AND o.kind IN ('outcome', 'outcome_unknown')
    WHERE r.kind NOT IN ('outcome', 'outcome_unknown', 'request_body')
)
SELECT time, change_window, session, principal, what, access, host, result, gateway, seq
FROM events ORDER BY time, gateway, change_window, seq;
