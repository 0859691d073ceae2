//! Sealgate's gateway. This page is the map: the journey of one call in order, and where everything lives.
//!
//! # The journey of one call
//!
//! 1. [`ingress::listener`] accepts a connection; [`ingress::connect`] reads CONNECT and asks [`identify`] whose proxy
//!    credential it carries.
//! 2. [`ingress::open`] speaks TLS as the host, with a leaf of [`ingress::authority`], and hands each request to
//!    [`exchange`]. (Hosts that are no cloud API: [`ingress::opaque`].)
//!    A request that names the gateway itself, from a tool that can't use a proxy, comes by [`ingress::endpoint`] instead.
//! 3. [`exchange`] is the product on one screen:
//!    - [`identify::signer`] finds whose credential signed the call, and [`sigv4`] checks the signature;
//!    - [`egress::body`] reads as much of the body as naming the call needs;
//!    - [`interpret`](mod@interpret) masks it ([`sealgate_policies::redact`]) and names it ([`sealgate_policies::naming`]);
//!    - [`sealgate_policies::permit`] decides: a [`Permit`](sealgate_policies::permit::Permit), or a refusal ([`refusal`]);
//!    - [`ledger::Ledger::intend`] writes the intent to disk: a [`ledger::Receipt`];
//!    - [`egress::credentials`] gives the real credential, and [`egress::resign`](mod@egress::resign) makes the call a
//!      [`egress::resign::Signed`] with it, the only thing that [`egress::upstream`] sends;
//!    - [`observe`](mod@observe) streams the answer through and writes the outcome before its last byte, as long as
//!      [`sessions::right`] lasts; what hands out a credential goes through [`contain`](mod@contain).
//! 4. [`reply`] puts every refusal and failure into the shape that the client's own error handling reads.
//!
//! # Around it
//!
//! | what | where |
//! |---|---|
//! | AWS signatures: checked, and made anew with the real credential | [`sigv4`] |
//! | where the real credentials come from: accounts, sources, roles | [`egress::credentials`] |
//! | credentials for tools: issued, delivered, contained, revoked | [`broker`] |
//! | windows, sessions, requests and approvals, tokens, their store | [`sessions`] |
//! | who the principals are, and their proofs | [`principals`] |
//! | chains, journal, parts, seals, recovery | [`ledger`] |
//! | witnesses and timestamps: who is told when | [`anchor`] |
//! | command line | [`cli`], a file a command |
//! | administration over a Unix socket | [`admin`] |
//! | did a tool's traffic really come through here? | [`doctor`] |
//! | the witness that another person runs | [`witness`] |
//! | wiring, start, stop | [`app`] |
//! | the folder with everything a gateway owns | [`home`] · its keys: [`keyring`] · evidence as a verifier reads it: [`evidence`] |
//! | settings · every bound · the clock port · the TLS provider | [`config`] · [`limits`] · [`clock`] · [`crypto`] |
//!
//! The evidence format and its verification are in [`sealgate_schema`].

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

pub mod admin;
pub mod anchor;
pub mod app;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contain;
pub mod crypto;
pub mod doctor;
pub mod egress;
pub mod evidence;
pub mod exchange;
pub mod home;
pub mod identify;
pub mod ingress;
pub mod interpret;
pub mod keyring;
pub mod ledger;
pub mod limits;
pub mod observe;
pub mod principals;
pub mod refusal;
pub mod remote;
pub mod reply;
pub mod sessions;
pub mod sigv4;
pub mod witness;
