//! One harness for the whole suite: the gateway in process ([`gateway`]), an upstream that keeps the truth ([`upstream`]),
//! a client that speaks through CONNECT ([`client`]), a disk that fails on command ([`faults`]), evidence without a gateway
//! ([`forge`]), verification of everything that was written ([`mod@check`]), the real programs ([`programs`]),
//! footers that lie ([`forgeries`]), an S3 that checks every signature ([`s3`]), and the ledger's remote parties: [`witness`], [`tsa`], and a [`relay`] before them that
//! fails on command.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a harness that can't be set up fails its test"
)]

pub mod check;
pub mod client;
pub mod faults;
pub mod footer_forge;
pub mod forge;
pub mod forgeries;
pub mod gateway;
pub mod moto;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod random;
pub mod relay;
pub mod s3;
pub mod setting;
pub mod simdisk;
pub mod tsa;
pub mod upstream;
pub mod witness;
