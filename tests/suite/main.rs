//! The suite: each file is one promise. The harness is `sealgate_tests`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod agree;
mod bodies;
mod cli;
mod clients;
mod crash;
mod journey;
mod log;
mod refuse;
mod secrets;
mod signatures;
mod tamper;
mod upstreams;
