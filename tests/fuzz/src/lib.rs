//! Every parser of hostile bytes as a target: a function that takes bytes and panics where a promise of that parser is
//! broken. Two runners share them: a test that needs nothing (`smoke.rs`), and libFuzzer (`tests/fuzz/guided`).
//!
//! A target says whether it took the bytes, so that a seed which no longer gets past the parser's door is noticed.
//! What belongs to a whole (a ledger, a running gateway) is not here but in the suite.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a target fails by panicking")]

mod aws;
mod bundle;
mod evidence;
mod folder;
mod hosts;
mod ingress;
mod journal;
mod log;
pub mod mutate;
mod note;
mod principals;
mod proofs;
mod redact;
mod samples;
mod sigv4;
#[cfg(test)]
mod smoke;
mod strace;
mod timestamp;
mod witness;

use std::path::PathBuf;

/// One parser, and what it promises.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where a promise is broken; otherwise whether the parser took the bytes.
    pub run: fn(&[u8]) -> bool,
    /// Bytes that the parser takes, made by the product where it has a writer.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Its kept corpus.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}

/// One line a target: its name, the function, its seeds. Each becomes a test of that name, too.
macro_rules! targets {
    ($($name:ident: $run:path, $seeds:path;)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $run, seeds: $seeds }),*];

        #[cfg(test)]
        mod no_input_breaks_a_promise_of {
            $(#[test] fn $name() { crate::smoke::check(stringify!($name)); })*
        }
    };
}

targets! {
    signed_note: note::signed_note, samples::notes;
    exactly_signed_note: note::exactly_signed_note, note::exactly_signed_seeds;
    verifier_key: note::verifier_key, samples::verifier_keys;
    checkpoint: note::checkpoint, samples::checkpoints;
    manifest: note::manifest, samples::manifests;
    cbor: evidence::cbor, samples::cbor;
    record: evidence::record, samples::preimages;
    payload: evidence::payload, samples::payload_rows;
    records_file: evidence::records_file, samples::records_files;
    payloads_file: evidence::payloads_file, samples::payloads_files;
    footer: evidence::footer, evidence::footer_seeds;
    evidence_folder: folder::changes, folder::seeds;
    log_entry: log::entry, log::entry_seeds;
    log_windows: log::windows, log::windows_seeds;
    log_bundle: log::bundle, log::bundle_seeds;
    tile_path: log::tile_path, log::tile_path_seeds;
    merkle_proof: proofs::proof, proofs::seeds;
    proof_bundle: bundle::bundle, bundle::seeds;
    witness_key: witness::key, witness::key_seeds;
    witness_policy: witness::policy, witness::policy_seeds;
    witness_request: witness::request, witness::request_seeds;
    witness_size: witness::size, witness::size_seeds;
    cosigned_checkpoint: witness::cosigned, witness::cosigned_seeds;
    timestamp_answer: timestamp::answer, timestamp::seeds;
    journal: journal::segment, samples::segments;
    connect: ingress::connect, ingress::connect_seeds;
    proxy_credential: ingress::proxy_credential, ingress::credential_seeds;
    host: hosts::host, hosts::seeds;
    principal_pattern: principals::pattern, principals::pattern_seeds;
    spiffe_id: principals::id, principals::id_seeds;
    spiffe_certificate: principals::certificate, principals::certificate_seeds;
    token_claims: principals::claims, principals::claims_seeds;
    token: principals::token, principals::token_seeds;
    key_set: principals::key_set, principals::key_set_seeds;
    principals: principals::directory, principals::directory_seeds;
    aws_request: aws::request, aws::request_seeds;
    aws_answer: aws::answer, aws::answer_seeds;
    signature: sigv4::signature, sigv4::signature_seeds;
    signed_request: sigv4::signed, sigv4::signed_seeds;
    unsigned_chunks: sigv4::unsigned_chunks, sigv4::unsigned_seeds;
    signed_chunks: sigv4::signed_chunks, sigv4::chunk_seeds;
    redact_json: redact::json, redact::json_seeds;
    redact_xml: redact::xml, redact::xml_seeds;
    redact_form: redact::form, redact::form_seeds;
    redact_body: redact::body, redact::body_seeds;
    redact_headers: redact::headers, redact::headers_seeds;
    strace: strace::trace, strace::seeds;
}
