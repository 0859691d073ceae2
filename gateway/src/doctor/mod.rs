//! Whether a command's traffic came through the gateway: what its programs connected to, beside what arrived here.
//!
//! - [`watch`] runs the command and sees what it does: by [`trace`] where strace can be used, else by [`sample`].
//!   [`strace`] reads the trace's lines, [`tree`] knows which program a task is.
//! - [`place`] says where a connection leads, [`report`] compares with the gateway's records, [`tools`] knows what to set.
//!
//! The judgement is about connections and records, not about what a tool's documentation says: a tool that is not in the table
//! is judged as well, only with more general advice.

pub mod place;
pub mod program;
pub mod report;
pub mod sample;
pub mod strace;
pub mod tools;
pub mod trace;
pub mod tree;
pub mod watch;
