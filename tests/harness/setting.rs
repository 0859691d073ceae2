//! How long the tests with a long setting run. The one place that reads `SEALGATE_TEST_LONG` and `SEALGATE_TEST_SEED`.

/// `short`, or `long` where `SEALGATE_TEST_LONG` is `1`.
pub fn length<T>(short: T, long: T) -> T {
    if std::env::var_os("SEALGATE_TEST_LONG").is_some_and(|value| value == "1") { long } else { short }
}

/// The seeds to run: `0..count`, or the one of `SEALGATE_TEST_SEED`, with which a seed that failed is run again.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("SEALGATE_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SEALGATE_TEST_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}
