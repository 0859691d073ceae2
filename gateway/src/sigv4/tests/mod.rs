//! Tests of the module as a whole. The client is always `aws-sigv4`, AWS's vectors or AWS's documentation.

mod agree;
mod chunks;
mod client;
mod events;
mod rules;
mod vectors;
