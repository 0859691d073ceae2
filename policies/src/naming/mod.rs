//! What a call is, in the provider's own words.

pub mod aws;
