//! Every bound in one place: what it is, and why that number.

use std::time::Duration;

/// Client connections at once. A connection costs some 60 KiB, so this is about 600 MiB.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Calls that wait for the ledger or for their outcome. Each holds a place in the ledger's queue for its outcome, so an
/// outcome never finds the queue full.
pub const CALLS_IN_FLIGHT_MAX: usize = 8_192;
/// How long a call waits for one of those places before it is refused.
pub const CALL_SLOT_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a request body that are read before the intent is written. AWS's largest body with parameters in it that is
/// common (CloudFormation templates, 51 KiB; DynamoDB pages) fits.
pub const READ_AHEAD_BYTES_MAX: usize = 256 << 10;
/// Bytes of a request body that is held whole because its signature covers it and the request does not declare its hash: all
/// services but S3. The largest that AWS takes that way is Lambda's code in a call, 50 MiB before its base64.
pub const HELD_BODY_BYTES_MAX: usize = 80 << 20;
/// Bytes of such bodies at once, beyond the 256 KiB that every call may read.
pub const HELD_BODIES_BYTES_MAX: usize = 512 << 20;
/// Bytes of an answer that hands out credentials and is read whole, so that they can be kept inside. AWS's are below 4 KiB.
pub const ISSUING_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a refused or failed call's body that are read and thrown away, so that the client reads the answer: an S3
/// part as SDKs send them, twice.
pub const DISCARD_BYTES_MAX: usize = 16 << 20;
/// How long that may take.
pub const DISCARD_WAIT: Duration = Duration::from_secs(10);
/// Bytes of a signed chunk (or event) of a request body: it is held until its signature is checked. Eight times the largest
/// that SDKs send unasked (128 KiB; those that frame a whole part as one chunk don't sign it).
pub const SIGNED_CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes of a chunk's head: its size and a signature of at most 144 digits are 180.
pub const CHUNK_HEAD_BYTES_MAX: usize = 256;
/// Bytes of the trailer of a chunked body: some checksums and a signature.
pub const TRAILER_BYTES_MAX: usize = 8 << 10;
/// Default capture a body.
pub const CAPTURE_BYTES: usize = 256 << 10;
/// The largest capture that can be configured: a journal frame holds one body, and a segment some hundred.
pub const CAPTURE_BYTES_MAX: usize = 8 << 20;
/// Bytes of an answer in which an account, a request id and an error code are looked for: errors and single results are
/// shorter, and an object that is downloaded has none.
pub const ANSWER_LOOK_BYTES_MAX: usize = 64 << 10;
/// Answers of known length up to this are gathered and go out with their head in one write.
pub const GATHERED_ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Bytes of a request's head over HTTP/1.1: AWS's own limit is 16 KiB of headers, security tokens take 4 of them.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Header fields of a request or answer.
pub const HEADERS_MAX: usize = 128;
/// Streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 256;
/// How long a client may take over a TLS handshake or a request's head.
pub const CLIENT_HEAD_WAIT: Duration = Duration::from_secs(30);
/// How long a client's HTTP/1.1 connection may be idle: longer than SDKs keep theirs, so that it is they who close.
pub const CLIENT_IDLE_WAIT: Duration = Duration::from_secs(600);
/// How long a client connection may be idle before HTTP/2 pings it.
pub const CLIENT_PING_EVERY: Duration = Duration::from_secs(60);

/// Leaf certificates kept. AWS has some 300 services; one region of each fits.
pub const LEAVES_MAX: usize = 1_024;
/// How long a leaf certificate is valid.
pub const LEAF_DAYS: i64 = 30;
/// How long before its end a leaf is minted anew.
pub const LEAF_RENEW_DAYS: i64 = 7;
/// How long the gateway's own CA is valid.
pub const CA_DAYS: i64 = 3_650;

/// Idle upstream connections kept for one host.
pub const IDLE_UPSTREAM_PER_HOST_MAX: usize = 128;
/// How long an idle upstream connection is kept: below the 20 s after which AWS's own ends close some of them it would
/// save nothing, far above it most would be found closed.
pub const IDLE_UPSTREAM_WAIT: Duration = Duration::from_secs(15);

/// Credentials that are kept: one for each account, and one for each session with a role. More sessions than this at once only
/// assume their roles again.
pub const SOURCE_CREDENTIALS_MAX: usize = 4_096;
/// How long before its end a credential is got anew: AWS's SDKs do the same, so a source that is away for minutes is not noticed.
pub const SOURCE_REFRESH_AHEAD: Duration = Duration::from_secs(300);
/// How long getting one may take, with tries again: below the 60 s that SDKs wait for an answer.
pub const SOURCE_WAIT: Duration = Duration::from_secs(30);
/// How long STS may take over a role, with tries again: well below [`SOURCE_WAIT`], so that what became of it is written down.
pub const ROLE_WAIT: Duration = Duration::from_secs(15);
/// How long a failure is the answer without asking the source again: SDKs try a 503 again within a second or two.
pub const SOURCE_FAILURE_KEPT: Duration = Duration::from_secs(5);
/// Times that a provider is asked for one credential.
pub const SOURCE_TRIES: u32 = 3;
/// How long one such request may take where who asks has no bound of its own. STS answers within a second.
pub const SOURCE_ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Bytes of an answer that holds a credential: AWS's have some 4 KiB.
pub const SOURCE_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Sources that are asked at once; the others wait.
pub const SOURCE_FETCHES_MAX: usize = 32;
/// Characters of what a source says of its failure that the client and the log are told.
pub const SOURCE_WHY_CHARS_MAX: usize = 400;
/// The shortest time for which AWS gives a role.
pub const ROLE_TIME_MIN: Duration = Duration::from_secs(900);
/// The longest for which one is taken: what AWS gives to a credential that is itself a role's.
pub const ROLE_TIME_MAX: Duration = Duration::from_secs(3_600);

/// Messages that the ledger's writer takes in one batch: one write, one fdatasync.
pub const BATCH_MAX: usize = 1_024;
/// Bytes after which a batch is written even if more messages wait.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Bytes of one journal frame: a record, and a payload with the largest capture.
pub const FRAME_BYTES_MAX: usize = CAPTURE_BYTES_MAX + (4 << 20);
/// Bytes of a journal segment after which a part is cut. A part is built in memory, so this bounds that memory.
pub const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Segments that wait to become parts before the writer waits for them.
pub const SEGMENTS_BEHIND_MAX: usize = 4;
/// The wall clock may differ from the steady clock by this much before a `clock_step` record says so.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(1);

/// How long closing a window waits for calls in flight before their outcome is written as unknown.
pub const WINDOW_DRAIN_WAIT: Duration = Duration::from_secs(10);
/// How long a stop waits for calls in flight.
pub const STOP_DRAIN_WAIT: Duration = Duration::from_secs(10);
/// How often the ledgers' growth is told to the windows log, and parts are cut that are due: the log is a second behind at most.
pub const TICK_EVERY: Duration = Duration::from_millis(500);
/// How often expired sessions and windows are looked for. A call checks its own session's time itself.
pub const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(500);

/// Standing windows of one day: a second one takes a clock that went back, or a crash in its very beginning.
pub const STANDING_WINDOWS_MAX: u32 = 1_000;
/// The longest session or window.
pub const TIME_BOX_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// How often it is looked for what is to be taken away because its time is over. The settings are in days.
pub const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Files in one redaction entry: an entry of the windows log has at most 65,535 bytes, and a file takes up to 300 of them. Their
/// successors lie beside them until the entry is durable, so this bounds the disk that an erasure needs to a GiB.
pub const REDACTED_FILES_MAX: usize = 64;
/// How long the command line waits for an erasure, which writes every payload file concerned again.
pub const ERASE_WAIT: Duration = Duration::from_secs(3_600);

/// The longest reason or title, in bytes.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Characters of a query that the record of a read of payloads keeps.
pub const QUERY_CHARS_MAX: usize = 4_096;
/// The largest admin request.
pub const ADMIN_BODY_BYTES_MAX: usize = 64 << 10;
/// How long the CLI waits for the gateway: longer than closing a window may drain.
pub const ADMIN_WAIT: Duration = Duration::from_secs(60);

/// Connections that a witness serves at once: one or two for each of some hundred gateways.
pub const WITNESS_CONNECTIONS_MAX: usize = 256;
/// Bytes of the head of a request to a witness: no header but the usual ones is looked at.
pub const WITNESS_HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a witness waits for a request, and for its body.
pub const WITNESS_CLIENT_WAIT: Duration = Duration::from_secs(60);

/// Bytes of a witness's answer: some signature lines.
pub const WITNESS_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Lags and their ends that wait to be recorded.
pub const ANCHOR_EVENTS_MAX: usize = 16;
/// How long one request to a witness may take: half of [`ANCHOR_LAG_MAX`], so that one that is lost is not a lag yet.
pub const WITNESS_WAIT: Duration = Duration::from_secs(5);
/// How long to wait before a witness that failed is asked again, the first time; then twice as long each time.
pub const WITNESS_RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest such wait: below [`ANCHOR_LAG_MAX`], so that a witness that is back is used before another lag.
pub const WITNESS_RETRY_MAX: Duration = Duration::from_secs(8);
/// How long a checkpoint with its quorum waits for slower witnesses before the next one is taken up.
pub const WITNESS_ROUND_WAIT: Duration = Duration::from_secs(3);
/// How long entries of the windows log may be without their quorum before `anchor_lag` is recorded.
pub const ANCHOR_LAG_MAX: Duration = Duration::from_secs(10);
/// How long a stop waits for the last checkpoint's quorum.
pub const WITNESS_STOP_WAIT: Duration = Duration::from_secs(5);
/// How long an idle connection to a witness or timestamp authority is kept: over the second between two heads.
pub const IDLE_REMOTE_WAIT: Duration = Duration::from_secs(20);

/// How long a timestamp authority may take over one answer.
pub const TIMESTAMP_WAIT: Duration = Duration::from_secs(20);
/// How long to wait before an authority that failed is asked again, the first time; then twice as long each time.
pub const TIMESTAMP_RETRY_MIN: Duration = Duration::from_secs(2);
/// The longest such wait: an authority that is down for hours is asked some ten times an hour.
pub const TIMESTAMP_RETRY_MAX: Duration = Duration::from_secs(300);
/// Sealed windows that wait for a timestamp in memory: years of an authority that is down. Those past it are found in the
/// windows log at the next start.
pub const TIMESTAMPS_PENDING_MAX: usize = 10_000;

/// How long a database may take to give a connection: what is asked of it is a row or two.
pub const STORE_WAIT: Duration = Duration::from_secs(10);
/// How long at most until it is looked again for sessions whose time is over, whatever the clock did meanwhile.
pub const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(60);
/// Requests that wait for approval at once: more than a person could look through.
pub const REQUESTS_PENDING_MAX: usize = 1_000;
/// Bytes of the file of approvers: some thousand keys.
pub const APPROVERS_BYTES_MAX: u64 = 1 << 20;

/// Notifications that are under way at once; the others wait.
pub const NOTIFICATIONS_MAX: usize = 4;
/// How often a notification is tried: a restart of what takes it is not missed.
pub const NOTIFY_TRIES: u32 = 3;
/// How long one try may take.
pub const NOTIFY_WAIT: Duration = Duration::from_secs(10);
/// How long after a failed try the next one comes.
pub const NOTIFY_RETRY_WAIT: Duration = Duration::from_secs(2);
/// Bytes of a webhook's answer: only its status counts.
pub const NOTIFY_ANSWER_BYTES_MAX: usize = 16 << 10;
/// Bytes of what a command says of its failure that the record keeps.
pub const NOTIFY_OUTPUT_BYTES_MAX: u64 = 1_024;
/// How long a stop waits for notifications that are under way; what is not sent then, the next start sends.
pub const STOP_NOTIFY_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a file that an operator writes (the directory of principals, allowed signers, a pinned key set): some thousand entries.
pub const OPERATOR_FILE_BYTES_MAX: u64 = 4 << 20;
/// Characters that a record has for what a principal rests on: an issuer and a subject, each of the usual longest kind.
pub const BASIS_CHARS_MAX: usize = 512;
/// Bytes of an OIDC token: GitHub's have 2 KiB, Azure's with groups up to 10.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Used tokens that are remembered until they expire, some 100 bytes each. Past it no token is taken.
pub const SPENT_TOKENS_MAX: i64 = 100_000;
/// Statements that were handed out to be signed by who asks, some 100 bytes each. Past it nobody can ask with an SSH key, for a while.
pub const STATEMENTS_OUT_MAX: usize = 4096;
/// How long a statement that was handed out is taken: time to look at it, find the security key, and touch it.
pub const STATEMENT_TAKEN: Duration = Duration::from_secs(10 * 60);
/// Bytes of a discovery document or a key set: Google's and GitHub's have some 10 KiB.
pub const JWKS_BYTES_MAX: usize = 256 << 10;
/// Keys in a set: issuers have two to ten.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long an issuer may take for discovery and key set together: who asked waits that long.
pub const JWKS_WAIT: Duration = Duration::from_secs(5);
/// How long a key set is used without asking again: a key that an issuer takes back is taken until then.
pub const JWKS_FRESH: Duration = Duration::from_secs(600);
/// How long it is used while the issuer can't be asked.
pub const JWKS_KEPT: Duration = Duration::from_secs(3_600);
/// An issuer is not asked more often than this, whatever key ids tokens name.
pub const JWKS_FETCH_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a statement, a signature or a key in a file of somebody who signs: a statement has 32 KiB at most.
pub const SIGNED_BYTES_MAX: u64 = 64 << 10;

/// Events of a trace that `doctor` keeps: a plan over hundreds of resources makes some thousand; this many are some 100 MiB.
pub const DOCTOR_EVENTS_MAX: usize = 1_000_000;
/// Bytes of one line of a trace: the start of a program with all of its environment, as the kernel bounds a usual one.
pub const DOCTOR_LINE_BYTES_MAX: usize = 4 << 20;
/// How long `doctor` watches what the command left behind in the background.
pub const DOCTOR_TAIL_WAIT: Duration = Duration::from_secs(2);
/// How often `/proc` is looked at where nothing can be traced: a TLS handshake with a far host takes longer.
pub const DOCTOR_SAMPLE_EVERY: Duration = Duration::from_millis(10);
/// How long `doctor` waits for the records of connections that it saw: a failed handshake is written after the client has gone.
pub const DOCTOR_SETTLE_WAIT: Duration = Duration::from_secs(2);
/// How often it asks for them in that time; each time a part is cut.
pub const DOCTOR_SETTLE_EVERY: Duration = Duration::from_millis(200);
/// Records that one question about a session's arrivals is answered with.
pub const ARRIVALS_MAX: usize = 10_000;

/// How long a credential that its tool renews lasts: what SDKs expect of a role's.
pub const CREDENTIAL_LIFE: Duration = Duration::from_secs(3_600);
/// A tool that asks gets a new one when the one it has lasts no longer than this: SDKs ask 5 to 15 minutes ahead.
pub const CREDENTIAL_RENEW_AHEAD: Duration = Duration::from_secs(20 * 60);
/// How long the id of a credential that is over is known, so that a late call is told why it is refused.
pub const CREDENTIAL_KEPT: Duration = Duration::from_secs(3_600);
/// Credentials of one session at once, children too: a plan over many accounts assumes a role in each.
pub const CREDENTIALS_PER_SESSION_MAX: usize = 1_000;
/// Credentials at once, of some 2 KiB each.
pub const CREDENTIALS_MAX: usize = 20_000;
