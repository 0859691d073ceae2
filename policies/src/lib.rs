//! What may happen through Sealgate, and what is remembered of it. No IO, no clock: facts in, decisions out.
//!
//! | question | home |
//! |---|---|
//! | may this call leave? | [`permit`] |
//! | is this session live? | [`session`] |
//! | who may have which session, and who has to approve? | [`access`] |
//! | does this request have what it needs? | [`request`] |
//! | who are the principals, and which proof is whose? | [`principal`] |
//! | is this host a cloud API? | [`hosts`] |
//! | which host is meant by a call to the gateway itself? | [`endpoint`] |
//! | what is this call? | [`naming`] |
//! | which answers hand out a credential? | [`issued`] |
//! | what must never be written down? | [`redact`] |
//! | what is kept how long? | [`retention`] |

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

pub mod access;
pub mod endpoint;
pub mod hosts;
pub mod issued;
pub mod naming;
pub mod pattern;
pub mod permit;
pub mod principal;
pub mod redact;
pub mod request;
pub mod retention;
pub mod session;
