//! The way out: [`resign`] makes the one thing that [`upstream`] takes, [`opaque`] dials tunnels; [`body`] and [`capture`] carry the request up
//! while its hash and first bytes are kept.

pub mod body;
pub mod capture;
pub mod credentials;
pub mod opaque;
pub mod resign;
pub mod upstream;
