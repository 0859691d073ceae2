//! The clock port: wall time for records and time boxes. Durations are measured with `Instant`, not with this.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Wall time in microseconds since 1970-01-01 UTC.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        // A clock before 1970 is broken; zero makes every session expired rather than every record wrong.
        SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0)
    }
}

/// A clock that runs with the machine's, plus an offset that a test sets.
#[derive(Debug, Default)]
pub struct SteppingClock {
    offset: AtomicI64,
}

impl SteppingClock {
    /// Moves the clock by this many microseconds.
    pub fn step(&self, microseconds: i64) {
        self.offset.fetch_add(microseconds, Ordering::Relaxed);
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> i64 {
        SystemClock.now() + self.offset.load(Ordering::Relaxed)
    }
}

/// `2026-11-23` of a time in microseconds, UTC.
pub fn date_of(time: i64) -> String {
    timestamp(time).strftime("%Y-%m-%d").to_string()
}

/// `2026-11-23T10:00:00Z` of a time in microseconds.
pub fn rfc3339(time: i64) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn timestamp(time: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
