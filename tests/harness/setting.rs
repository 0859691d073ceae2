//! How long the tests with a long setting run. The one place that reads `SEALGATE_TEST_LONG` and `SEALGATE_TEST_SEED`.

/// `short`, or `long` where `SEALGATE_TEST_LONG` is `1`.
pub fn length<T>(short: T, long: T) -> T {
    if std::env::var_os("SEALGATE_TEST_LONG").is_some_and(|value| value == "1") { long } else { short }
}

/// The seeds to run: `0..count`, or those of `SEALGATE_TEST_SEED`, with which a seed that failed is run again: `7`, or `0..5000`.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let Ok(seeds) = std::env::var("SEALGATE_TEST_SEED") else { return 0..count };
    let number = |seed: &str| seed.parse().expect("SEALGATE_TEST_SEED is a number, or a range as 0..5000");
    match seeds.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&seeds)..number(&seeds) + 1,
    }
}
