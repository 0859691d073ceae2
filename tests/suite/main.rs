//! The suite: each file is one promise. The harness is `sealgate_tests`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod agree;
mod anchors;
mod bodies;
mod botocore;
mod brokered;
mod cli;
mod clients;
mod crash;
mod doctor;
mod footers;
mod jit;
mod journey;
mod kills;
mod log;
mod principals;
mod prove;
mod redaction;
mod refuse;
mod secrets;
mod signatures;
mod simdisk;
mod sources;
mod syscalls;
mod tamper;
mod timestamps;
mod upstreams;
mod witness;
mod witnessed;
