//! Bodies in chunks: what the client signed comes out under the real credential, and nothing else does.

use super::client::{BROKERED, Chunker, Frames, brokered, credentials, drain, now, real, settings, sign_v4, sign_v4a, upload};
use crate::{
    limits::{CHUNK_HEAD_BYTES_MAX, SIGNED_CHUNK_BYTES_MAX, TRAILER_BYTES_MAX},
    sigv4::{
        BodyError, BodyFault, BrokeredKey, CheckedBody, Proof, Resigned,
        chain::{Chain, Chains},
        key::SigningKey,
        read, resign, verify,
    },
};
use aws_sigv4::http_request::{SignableBody, SignatureLocation};
use http::request::Parts;
use http_body::Body;
use proptest::prelude::*;
use sealgate_schema::Hash;

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CHECKSUM: &str = "x-amz-checksum-crc32";

/// An upload that was signed, verified and signed again.
struct Upload {
    proof: Proof,
    resigned: Resigned,
    /// The body as the client sends it, chunk by chunk; the last one with all that follows.
    chunks: Vec<Vec<u8>>,
}

impl Upload {
    fn new(mode: &str, data: &[&[u8]]) -> Self {
        let mut parts = upload(mode, data.concat().len());
        let settings = settings("s3", SignatureLocation::Headers);
        let seed = sign_v4(&mut parts, SignableBody::Precomputed(mode.to_owned()), "s3", settings, &brokered());
        let (proof, resigned) = accepted(&mut parts);
        let mut chunker = Chunker::new(&brokered(), &seed);
        let mut chunks: Vec<Vec<u8>> = match mode {
            UNSIGNED_TRAILER => {
                data.iter().map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()).collect()
            }
            _ => data.iter().map(|data| chunker.chunk(data)).collect(),
        };
        chunks.push(match mode {
            UNSIGNED_TRAILER => format!("0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n").into_bytes(),
            SIGNED => [chunker.chunk(b""), b"\r\n".to_vec()].concat(),
            _ => [chunker.chunk(b""), chunker.trailer(CHECKSUM, "AAAAAA=="), b"\r\n".to_vec()].concat(),
        });
        Self { proof, resigned, chunks }
    }

    fn wire(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    fn send<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<BodyFault>) {
        match CheckedBody::new(Frames::new(frames), &self.proof, self.resigned.clone()) {
            Err(fault) => (Vec::new(), Some(fault)),
            Ok(body) => {
                let (out, error) = drain(body);
                (out, error.map(fault))
            }
        }
    }

    /// The body under the real credential, made by the SDK's own functions.
    fn expected(&self, mode: &str, data: &[&[u8]]) -> Vec<u8> {
        let mut chunker = Chunker::new(&real(), self.resigned.signature());
        let chunks: Vec<Vec<u8>> = data.iter().map(|data| chunker.chunk(data)).collect();
        let last = chunker.chunk(b"");
        let trailer = if mode == SIGNED { Vec::new() } else { chunker.trailer(CHECKSUM, "AAAAAA==") };
        [chunks.concat(), last, trailer, b"\r\n".to_vec()].concat()
    }
}

/// These clients' bodies never fail by themselves.
fn fault(error: BodyError<std::convert::Infallible>) -> BodyFault {
    match error {
        BodyError::Fault(fault) => fault,
        BodyError::Client(never) => match never {},
    }
}

fn accepted(parts: &mut Parts) -> (Proof, Resigned) {
    let claim = read(parts).unwrap().unwrap();
    let proof = verify(&claim, parts, None, &BROKERED, now()).unwrap();
    let resigned = resign(&proof, parts, &real(), now()).unwrap();
    (proof, resigned)
}

const DATA: [&[u8]; 3] = [b"the first chunk", b"2", b"a third one\r\n0;chunk-signature="];

#[test]
fn signed_chunks_come_out_as_the_sdk_signs_them_with_the_real_credential() {
    for mode in [SIGNED, SIGNED_TRAILER] {
        for data in [&DATA[..], &[], &[b"one"]] {
            let upload = Upload::new(mode, data);
            let wire = upload.wire();
            let (out, fault) = upload.send([&wire[..]]);
            assert_eq!(fault, None);
            assert_eq!(out, upload.expected(mode, data), "{mode}");
            assert_eq!(out.len(), wire.len());
        }
    }
}

#[test]
fn a_body_comes_out_the_same_wherever_its_frames_are_cut() {
    for mode in [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER] {
        let upload = Upload::new(mode, &DATA);
        let wire = upload.wire();
        let (whole, fault) = upload.send([&wire[..]]);
        assert_eq!(fault, None);
        assert_eq!(whole == wire, mode == UNSIGNED_TRAILER);
        for at in 0..=wire.len() {
            assert_eq!(upload.send([&wire[..at], &wire[at..]]), (whole.clone(), None), "{mode} {at}");
        }
        assert_eq!(upload.send(wire.chunks(1)), (whole, None), "{mode} byte by byte");
    }
}

/// Nothing of the last chunk is out, and of a signed body nothing but the beginning of what would have come.
fn check_refused(upload: &Upload, expected: &[u8], frames: &[&[u8]], what: &str) {
    let last = upload.chunks.last().unwrap().len();
    let (out, fault) = upload.send(frames.iter().copied());
    assert!(fault.is_some(), "{what} is taken");
    let signed = expected != upload.wire();
    assert!(!signed || expected[..expected.len() - last].starts_with(&out), "{what}: {} bytes are out", out.len());
    assert!(!out.ends_with(&expected[expected.len() - last..]), "{what}: the last chunk is out");
    let sent: usize = frames.iter().map(|frame| frame.len()).sum();
    assert!(out.len() < sent || sent == 0, "{what}: as many bytes are out as were sent");
}

#[test]
fn a_changed_byte_anywhere_in_a_signed_body_is_refused_before_the_last_chunk() {
    for mode in [SIGNED, SIGNED_TRAILER] {
        let (upload, expected) = (Upload::new(mode, &DATA), Upload::new(mode, &DATA).expected(mode, &DATA));
        let wire = upload.wire();
        for (at, bit) in (0..wire.len()).flat_map(|at| [0x01, 0x02, 0x10, 0x80].map(|bit| (at, bit))) {
            let mut changed = wire.clone();
            changed[at] ^= bit;
            check_refused(&upload, &expected, &[&changed], &format!("{mode} {at} {bit}"));
            check_refused(&upload, &expected, &changed.chunks(7).collect::<Vec<_>>(), &format!("{mode} {at} {bit} in frames"));
        }
    }
}

#[test]
fn a_dropped_swapped_repeated_cut_or_longer_body_is_refused_before_the_last_chunk() {
    for mode in [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER] {
        let upload = Upload::new(mode, &DATA);
        let wire = upload.wire();
        let (expected, _) = upload.send([&wire[..]]);
        let order = |order: &[usize]| order.iter().map(|chunk| &upload.chunks[*chunk][..]).collect::<Vec<_>>();
        check_refused(&upload, &expected, &order(&[1, 2, 3]), "the first dropped");
        check_refused(&upload, &expected, &order(&[0, 2, 3]), "the second dropped");
        check_refused(&upload, &expected, &order(&[0, 1, 2]), "the last dropped");
        check_refused(&upload, &expected, &order(&[3]), "nothing but the last");
        check_refused(&upload, &expected, &order(&[]), "nothing");
        check_refused(&upload, &expected, &order(&[0, 0, 1, 2, 3]), "the first repeated");
        check_refused(&upload, &expected, &order(&[0, 1, 2, 3, 3]), "the last repeated");
        check_refused(&upload, &expected, &[&wire, b"\r\n"], "another line");
        check_refused(&upload, &expected, &[&wire, b"x"], "another byte");
        if mode != UNSIGNED_TRAILER {
            check_refused(&upload, &expected, &order(&[1, 0, 2, 3]), "two swapped");
        }
        for end in 0..wire.len() {
            check_refused(&upload, &expected, &[&wire[..end]], &format!("{mode} cut at {end}"));
        }
    }
}

#[test]
fn chunks_of_another_upload_are_refused() {
    let (one, other) = (Upload::new(SIGNED, &DATA), Upload::new(SIGNED_TRAILER, &DATA));
    let (_, fault) = one.send([&other.chunks[0][..]]);
    assert_eq!(fault, Some(BodyFault::Chunk { chunk: 0 }));
}

#[test]
fn a_body_never_holds_more_than_a_chunk_and_the_one_before_it() {
    const CHUNK: usize = 64 << 10;
    let data = vec![b'x'; CHUNK];
    let chunks = vec![&data[..]; 40];
    let upload = Upload::new(SIGNED, &chunks);
    let wire = upload.wire();
    let mut body = CheckedBody::new(Frames::new(wire.chunks(9_000)), &upload.proof, upload.resigned.clone()).unwrap();
    let (mut context, mut out) = (std::task::Context::from_waker(std::task::Waker::noop()), 0);
    while let std::task::Poll::Ready(Some(frame)) = std::pin::Pin::new(&mut body).poll_frame(&mut context) {
        out += frame.unwrap().into_data().unwrap().len();
        let taken = wire.len() - body.inner().0.iter().map(|frame| frame.len()).sum::<usize>();
        assert!(taken - out <= 2 * (CHUNK + CHUNK_HEAD_BYTES_MAX) + 9_000, "{} bytes are held", taken - out);
    }
    assert_eq!(out, wire.len());
}

#[test]
fn what_would_have_to_be_held_without_a_bound_is_refused() {
    let check = |mode: &str, sent: &[u8], expected: fn(&BodyFault) -> bool| {
        let (_, fault) = Upload::new(mode, &[&vec![0; SIGNED_CHUNK_BYTES_MAX + 2]]).send(sent.chunks(1 << 16));
        assert!(fault.as_ref().is_some_and(expected), "{mode}: {fault:?}");
    };
    let head = format!("{:x};chunk-signature={}\r\n", SIGNED_CHUNK_BYTES_MAX + 1, "0".repeat(64));
    check(SIGNED, head.as_bytes(), |fault| matches!(fault, BodyFault::ChunkTooLong { chunk: 0, .. }));
    check(SIGNED, &[b'0'; CHUNK_HEAD_BYTES_MAX], |fault| matches!(fault, BodyFault::Framing { chunk: 0, .. }));
    let last = [b"0\r\n".to_vec(), vec![b'a'; TRAILER_BYTES_MAX + 1]].concat();
    check(UNSIGNED_TRAILER, &last, |fault| matches!(fault, BodyFault::Framing { chunk: 0, .. }));
}

/// Such a body streams through: nothing of it but its framing is looked at.
#[test]
fn an_unsigned_chunk_may_be_longer_than_a_signed_one() {
    let data = vec![7; 3 * SIGNED_CHUNK_BYTES_MAX];
    let upload = Upload::new(UNSIGNED_TRAILER, &[&data]);
    let wire = upload.wire();
    assert_eq!(upload.send(wire.chunks(1 << 16)), (wire.clone(), None));
}

#[test]
fn chunks_have_to_add_up_to_the_length_that_was_signed() {
    let upload = Upload::new(UNSIGNED_TRAILER, &[b"four"]);
    for sent in ["3\r\nfou\r\n0\r\n\r\n", "5\r\nfours\r\n0\r\n\r\n", "0\r\n\r\n"] {
        assert_eq!(upload.send([sent.as_bytes()]).1, Some(BodyFault::Length), "{sent}");
    }
    assert_eq!(upload.send([&b"04\r\nfour\r\n0\r\n\r\n"[..]]).1, None, "a trailer may be empty");
}

/// As AWS's documentation shows it, and `minio-go` sends it.
#[test]
fn a_trailer_line_may_end_with_a_line_feed_of_its_own() {
    let upload = Upload::new(SIGNED_TRAILER, &DATA);
    let with_feed = |body: Vec<u8>| String::from_utf8(body).unwrap().replace("AAAAAA==\r\n", "AAAAAA==\n\r\n").into_bytes();
    let (wire, expected) = (with_feed(upload.wire()), with_feed(upload.expected(SIGNED_TRAILER, &DATA)));
    assert_eq!(upload.send([&wire[..]]), (expected, None));
}

#[test]
fn a_declared_hash_is_checked_before_the_last_frame() {
    let body = b"the whole body";
    let mut parts = upload(&Hash::of(&[body]).to_string(), body.len());
    let settings = settings("s3", SignatureLocation::Headers);
    let _ = sign_v4(&mut parts, SignableBody::Bytes(body), "s3", settings, &brokered());
    let (proof, resigned) = accepted(&mut parts);
    let upload = Upload { proof, resigned, chunks: Vec::new() };
    for at in 0..=body.len() {
        assert_eq!(upload.send([&body[..at], &body[at..]]), (body.to_vec(), None));
    }
    assert_eq!(upload.send(body.chunks(1)), (body.to_vec(), None));
    let cut = body.len() - 1;
    let (out, fault) = upload.send([&body[..4], &body[4..8], &body[8..cut]]);
    assert_eq!((&out[..], fault), (&body[..4], Some(BodyFault::Hash)), "one frame behind, so the last ones are not out");
    assert_eq!(upload.send([&body[..4], &body[4..], b"more"]).1, Some(BodyFault::Hash));
    assert_eq!(upload.send([]), (Vec::new(), Some(BodyFault::Hash)), "an empty body is refused before it is asked for");
}

#[test]
fn after_a_fault_there_is_no_end() {
    let upload = Upload::new(SIGNED, &DATA);
    let mut body = CheckedBody::new(Frames::new([&b"nonsense\r\n"[..]]), &upload.proof, upload.resigned.clone()).unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        let polled = std::pin::Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(polled, std::task::Poll::Ready(Some(Err(_)))));
        assert!(!body.is_end_stream());
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and `sigv4-streaming-trailers.html`.
#[test]
fn the_examples_of_awss_documentation_fit() {
    let key = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let date = crate::sigv4::stamp::Stamp::read("20130524T000000Z").unwrap();
    let algorithm = crate::sigv4::Algorithm::V4;
    let chain = |last: &str| Chain {
        algorithm,
        key: SigningKey::derive(algorithm, key, &date, ("us-east-1", "s3")).unwrap(),
        date: date.text().to_owned(),
        scope: "20130524/us-east-1/s3/aws4_request".to_owned(),
        last: last.to_owned(),
    };
    let check = |seed: &str, signatures: [&str; 3], trailer: Option<&str>| {
        let mut chains = Chains { client: chain(seed), real: chain(seed) };
        for (data, signature) in [vec![b'a'; 65_536], vec![b'a'; 1_024], Vec::new()].iter().zip(signatures) {
            let mut place = signature.as_bytes().to_vec();
            assert!(chains.replace(|chain| chain.of_chunk(&Hash::of(&[data])), &mut place), "{signature}");
            assert_eq!(place, signature.as_bytes());
        }
        if let Some(signature) = trailer {
            let hash = Hash::of(&[b"x-amz-checksum-crc32c:sOO8/Q==\n"]);
            assert!(chains.replace(|chain| chain.of_trailer(&hash), &mut signature.as_bytes().to_vec()));
        }
    };
    check(
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        None,
    );
    check(
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        Some("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"),
    );
}

#[test]
fn chunks_signed_with_version_4a_are_checked_and_signed_again_at_the_same_length() {
    let mode = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER";
    let mut parts = upload(mode, 5);
    let settings = settings("s3", SignatureLocation::Headers);
    let _ = sign_v4a(&mut parts, SignableBody::Precomputed(mode.to_owned()), settings, &brokered());
    let (proof, resigned) = accepted(&mut parts);
    let body = |chain: &Chain| {
        let mut chain = chain.clone();
        let signature = |string: String, chain: &mut Chain| chain.sign(&string);
        let first = signature(chain.of_chunk(&Hash::of(&[b"hello"])), &mut chain);
        let last = signature(chain.of_chunk(&Hash::of(&[b""])), &mut chain);
        let trailer = signature(chain.of_trailer(&Hash::of(&[b"x-amz-checksum-crc32:AA==\n"])), &mut chain);
        format!(
            "5;chunk-signature={first}\r\nhello\r\n0;chunk-signature={last}\r\nx-amz-checksum-crc32:AA==\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
        )
    };
    let (wire, expected) = (body(&proof.chain), body(&resigned.chain));
    let upload = Upload { proof, resigned, chunks: vec![wire.clone().into_bytes()] };
    // aws-sigv4 makes these signatures without chance, so they can be compared.
    assert_eq!(upload.send([wire.as_bytes()]), (expected.into_bytes(), None));
    let tampered = wire.replace("hello", "hellp");
    assert_eq!(upload.send([tampered.as_bytes()]), (Vec::new(), Some(BodyFault::Chunk { chunk: 0 })));
}

#[test]
fn another_keys_chunks_are_refused() {
    let mut parts = upload(SIGNED, 1);
    let settings = settings("s3", SignatureLocation::Headers);
    let seed = sign_v4(&mut parts, SignableBody::Precomputed(SIGNED.to_owned()), "s3", settings, &brokered());
    let (proof, resigned) = accepted(&mut parts);
    let mut chunker = Chunker::new(&credentials(BrokeredKey { secret: "another", ..BROKERED }), &seed);
    let upload = Upload { proof, resigned, chunks: vec![chunker.chunk(b"x")] };
    assert_eq!(upload.send([&upload.chunks[0][..]]).1, Some(BodyFault::Chunk { chunk: 0 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunks_in_any_frames_come_out_signed_anew(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..6),
        cuts in prop::collection::vec(0_usize..2_000, 0..8),
        mode in prop::sample::select(vec![SIGNED, SIGNED_TRAILER]),
    ) {
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let upload = Upload::new(mode, &data);
        let wire = upload.wire();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let (out, fault) = upload.send(cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]));
        prop_assert_eq!(fault, None);
        prop_assert_eq!(out, upload.expected(mode, &data));
    }
}
