//! The witness: a small server that another person runs (C2SP tlog-witness). It cosigns the checkpoints of the logs it is
//! told of, each only where it continues the one before, so that nobody can show it two histories.
//!
//! It needs no home and no gateway: its folder holds its key and what it has seen. It does not fetch logs, and keeps none.

pub mod server;
pub mod state;
