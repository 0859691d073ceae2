//! Timed loops over the parts of a recorded call: what each costs alone, without sockets.

mod ledger;
mod sample;
mod sigv4;

use crate::{
    Result,
    figures::{median, short},
};
use sample::Sample;
use sealgate_schema::{Chain, Hash, LedgerId, Record, parquet};
use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

/// Length of one batch of repetitions, and how many batches there are.
const BATCH: Duration = Duration::from_millis(20);
const BATCHES: usize = 15;
/// Rows of the part that is written: two row groups and a bit.
const PART_ROWS: usize = 20_000;

/// Runs all of them and prints a line each.
pub(crate) async fn run(folder: &Path) -> Result<()> {
    let (ledger, sample) = (LedgerId::new("gw-bench", "BENCH")?, Sample::new()?);
    row("work", "median", "what it is");
    pure(&ledger, &sample);
    sigv4::run()?;
    parts(&ledger, &sample)?;
    ledger::run(folder, &sample).await
}

/// Prints a line.
fn row(name: &str, figure: &str, what: &str) {
    println!("{name:34} {figure:>18}  {what}");
}

fn pure(ledger: &LedgerId, sample: &Sample) {
    let nanoseconds = |figure: f64| format!("{} ns", short(figure));
    let (record, mut out) = (Record { seq: 1 << 20, time: 1 << 50, fields: sample.intent.clone() }, Vec::with_capacity(1 << 20));
    let encoded = timed(|| {
        out.clear();
        record.encode(ledger, &Hash::ZERO, &mut out);
    });
    row("encode an intent", &nanoseconds(encoded), &format!("{} bytes of preimage", out.len()));
    let mut chain = Chain::new(ledger.clone());
    let appended = timed(|| {
        out.clear();
        chain.append(sample.intent.clone(), 1 << 50, &mut out)
    });
    row("append an intent to its chain", &nanoseconds(appended), "clone, encode, SHA-256, tree");
    let response = sample.response();
    row("commitment of a request's payload", &nanoseconds(timed(|| sample.payload.commitment())), "headers and a form");
    row("commitment of an answer's payload", &nanoseconds(timed(|| response.commitment())), "headers and 1.4 KB of JSON");
    let encoded = timed(|| {
        out.clear();
        response.encode(&mut out);
    });
    row("encode an answer's payload", &nanoseconds(encoded), &format!("{} bytes for the journal", out.len()));
    row("mask and name a request", &nanoseconds(timed(|| sample.request())), "headers, STS form, operation");
    row("mask and read an answer", &nanoseconds(timed(|| sample.answer())), "headers, 1.4 KB of JSON, request id");
}

fn parts(ledger: &LedgerId, sample: &Sample) -> Result<()> {
    let mut chain = Chain::new(ledger.clone());
    let mut records = Vec::with_capacity(PART_ROWS);
    for seq in 0..PART_ROWS {
        let record = chain.append(sample.fields(seq), (1 << 50) + 400 * seq as i64, &mut Vec::new());
        records.push((record, chain.head()));
    }
    let payloads: Vec<_> = (0..PART_ROWS).map(|seq| (seq as u64, sample.payload_of(seq))).collect();
    part("write a part's records", PART_ROWS, || parquet::write_records(ledger, 0, &records))?;
    part("write a part's payloads", PART_ROWS, || parquet::write_payloads(ledger, 0, &payloads))
}

fn part<E: std::error::Error + Send + Sync + 'static>(
    name: &str,
    rows: usize,
    write: impl Fn() -> std::result::Result<Vec<u8>, E>,
) -> Result<()> {
    let mut seconds = Vec::new();
    let mut bytes = 0;
    for _ in 0..BATCHES / 3 {
        let start = Instant::now();
        bytes = write()?.len();
        seconds.push(start.elapsed().as_secs_f64());
    }
    let seconds = median(seconds).unwrap_or(f64::NAN);
    let what = format!("{} µs and {} bytes a row", short(seconds * 1e6 / rows as f64), bytes / rows);
    row(name, &format!("{} rows/s", short(rows as f64 / seconds)), &what);
    Ok(())
}

/// Nanoseconds that `work` takes: the median of batches of repetitions.
fn timed<T>(mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut repetitions = 0_u32;
    while start.elapsed() < BATCH {
        black_box(work());
        repetitions += 1;
    }
    let batch = || {
        let start = Instant::now();
        (0..repetitions).for_each(|_| drop(black_box(work())));
        start.elapsed().as_secs_f64() * 1e9 / f64::from(repetitions)
    };
    median(std::iter::repeat_with(batch).take(BATCHES).collect()).unwrap_or(f64::NAN)
}
