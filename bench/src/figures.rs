//! What was measured, and how it is printed: medians over the rounds, in tables with a row a way through.

use crate::compare::{Cell, Row};
use std::{collections::HashMap, time::Duration};

/// What is measured of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    /// Calls a second.
    PerSecond,
    /// Median latency in µs.
    P50,
    /// 99th percentile of latency in µs.
    P99,
    /// CPU time of the measured process in µs a call.
    Cpu,
    /// Growth of resident memory in KiB for each idle session.
    IdleKib,
    /// Resident memory in MiB after the load.
    Rss,
    /// The most that it was.
    Peak,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(HashMap<(Row, String, Metric), Vec<f64>>);

const LOADED: [(Metric, &str); 4] =
    [(Metric::PerSecond, "calls/s"), (Metric::P50, "p50 µs"), (Metric::P99, "p99 µs"), (Metric::Cpu, "CPU µs")];
const MEMORY: [(Metric, &str); 3] = [(Metric::IdleKib, "KiB/idle"), (Metric::Rss, "RSS MiB"), (Metric::Peak, "peak")];
/// Name of the column group that belongs to no cell.
pub(crate) const MEMORY_CELL: &str = "memory";

impl Figures {
    /// Notes one round's figure.
    pub(crate) fn note(&mut self, row: Row, cell: &str, metric: Metric, value: f64) {
        self.0.entry((row, cell.to_owned(), metric)).or_default().push(value);
    }

    /// Notes one round of a cell.
    pub(crate) fn note_load(&mut self, row: Row, cell: &str, mut latencies: Vec<u64>, wall: Duration, cpu: Duration) {
        latencies.sort_unstable();
        let calls = latencies.len() as f64;
        let at = |share: f64| latencies.get((calls * share) as usize).map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1e3);
        self.note(row, cell, Metric::PerSecond, calls / wall.as_secs_f64());
        self.note(row, cell, Metric::P50, at(0.5));
        self.note(row, cell, Metric::P99, at(0.99));
        self.note(row, cell, Metric::Cpu, cpu.as_secs_f64() * 1e6 / calls);
    }

    fn median(&self, row: Row, cell: &str, metric: Metric) -> Option<f64> {
        median(self.0.get(&(row, cell.to_owned(), metric))?.clone())
    }

    /// Prints the tables: the cells by fours, memory beside the last, then the ratios of CPU.
    pub(crate) fn print(&self, rows: &[Row], cells: &[Cell]) {
        let mut groups: Vec<(&str, &[(Metric, &str)])> = cells.iter().map(|cell| (cell.name.as_str(), LOADED.as_slice())).collect();
        groups.push((MEMORY_CELL, &MEMORY));
        for groups in groups.chunks(4) {
            self.print_groups(rows, groups);
        }
        let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        println!("\n{:26}{}", "CPU ratio", names.iter().map(|name| format!("{name:>16}")).collect::<String>());
        for (above, below) in [
            (Row::Recorded, Row::Intercepted),
            (Row::Recorded, Row::Tunnel),
            (Row::Recorded, Row::Direct),
            (Row::Intercepted, Row::Tunnel),
        ] {
            let ratio = |cell: &str| Some(self.median(above, cell, Metric::Cpu)? / self.median(below, cell, Metric::Cpu)?);
            let cells = names
                .iter()
                .map(|cell| format!("{:>16}", ratio(cell).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))));
            println!("{:26}{}", format!("{above} / {below}"), cells.collect::<String>());
        }
    }

    fn print_groups(&self, rows: &[Row], groups: &[(&str, &[(Metric, &str)])]) {
        let title = |(cell, metrics): &(&str, &[(Metric, &str)])| format!("  │{cell:^width$}", width = metrics.len() * 8);
        let heads = |(_, metrics): &(&str, &[(Metric, &str)])| {
            metrics.iter().fold("  │".to_owned(), |line, (_, name)| line + &format!("{name:>8}"))
        };
        println!("\n{:11}{}", "", groups.iter().map(title).collect::<String>());
        println!("{:11}{}", "", groups.iter().map(heads).collect::<String>());
        for row in rows {
            let figure = |cell: &str, metric| self.median(*row, cell, metric).map_or_else(|| "-".to_owned(), short);
            let cells = |(cell, metrics): &(&str, &[(Metric, &str)])| {
                metrics.iter().fold("  │".to_owned(), |line, (metric, _)| line + &format!("{:>8}", figure(cell, *metric)))
            };
            println!("{:11}{}", row.to_string(), groups.iter().map(cells).collect::<String>());
        }
    }
}

/// The middle one; of an even number the upper.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Three digits, or all before the point.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
