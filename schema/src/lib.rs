//! The words and the evidence format of Sealgate. No IO, no clock: bytes in, bytes or verdicts out.
//!
//! The normative text is `schema/FORMAT.md`; two more implementations stand beside it (`schema/verify.py`, `schema/verify.sql`),
//! and views for queries (`schema/views.sql`). An auditor's build needs this crate alone.
//!
//! # Words, one each
//!
//! | word | meaning | home |
//! |---|---|---|
//! | **principal** | who acts: a human, a workload or an agent | [`record`] |
//! | **session** | a time-boxed grant to one principal within one window | [`record`] |
//! | **change window** | a named interval, the unit of sealing | [`id`] |
//! | **call** | one request and its outcome | [`record`] |
//! | **record** | one row of evidence | [`record`] |
//! | **payload** | the restricted half of a record: headers, bodies | [`payload`] |
//! | **ledger** | the ordered records of one window on one gateway | [`chain`] |
//! | **part** | a Parquet file with a contiguous run of records | [`mod@parquet`], [`columns`] |
//! | **seal** | the signed statement that closes a ledger | [`seal`], [`note`] |
//! | **windows log** | a gateway's append-only log of what becomes of its windows | [`log`], [`windows`], [`tiles`], [`merkle`] |
//! | **checkpoint** | the signed (origin, size, root) of a log | [`note`] |
//! | **witness** | another party that cosigns checkpoints | [`mod@witness`] |
//! | **statement** | what a person signs with a key of their own: an approval, a review | [`statement`], [`sshsig`], [`allowed_signers`] |
//! | **proof** | one record shown alone, with what binds it to a signed log | [`proof`] |
//! | **level** | what a verifier has checked, L0 to L6 | [`verify`] |

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::allow_attributes_without_reason,
        clippy::allow_attributes
    )
)]

pub mod allowed_signers;
pub mod canonical;
pub mod chain;
pub mod columns;
pub mod encrypted;
pub mod footer;
pub mod hash;
pub mod id;
pub mod instant;
mod levels;
pub mod log;
pub mod merkle;
pub mod note;
pub mod parquet;
pub mod payload;
pub mod proof;
pub mod public_key;
pub mod record;
#[cfg(test)]
mod samples;
pub mod seal;
pub mod sshsig;
pub mod statement;
mod statistics;
mod structure;
pub mod text;
pub mod thrift;
pub mod tiles;
pub mod timestamp;
#[cfg(test)]
mod vectors;
pub mod verify;
pub mod windows;
pub mod witness;

pub use chain::Chain;
pub use hash::Hash;
pub use id::LedgerId;
pub use payload::Payload;
pub use record::Record;
pub use text::Text;
