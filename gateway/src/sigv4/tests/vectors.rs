//! AWS's own vectors, in both directions. They lie beside the project (or where `SEALGATE_VECTORS` says), not in it.

use super::client::credentials;
use crate::sigv4::{
    Algorithm, BrokeredKey, Claim, Place, Proof, SignatureError,
    canonical::{Canonical, PathForm, path, query},
    key::{SigningKey, unhex},
    read, resign,
    verify::verify_with,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use http::{Request, Uri, request::Parts};
use sealgate_schema::Hash;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A session's key, other than that of the vectors.
const OTHER: BrokeredKey<'_> = BrokeredKey { access_key_id: "AKIAOTHER", secret: "other/secret", token: Some("other/token==") };

struct Case {
    folder: PathBuf,
    context: Value,
}

impl Case {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_else(|error| panic!("{}/{name}: {error}", self.folder.display()))
    }

    fn key(&self) -> BrokeredKey<'_> {
        let field = |name: &str| self.context["credentials"][name].as_str();
        BrokeredKey {
            access_key_id: field("access_key_id").unwrap(),
            secret: field("secret_access_key").unwrap(),
            token: field("token"),
        }
    }

    fn now(&self) -> SystemTime {
        self.context["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().try_into().unwrap()
    }

    /// The signed request as it arrives, its body, and the forms of its path.
    fn signed(&self, place: &str) -> (Parts, Vec<u8>, Vec<PathForm>) {
        let (parts, body, spaced) = parse(&self.text(&format!("{place}-signed-request.txt"))).unwrap();
        let form = match self.context["normalize"].as_bool().unwrap() {
            // A blank can't be sent. As %20 the path is what the vector has when it is not encoded once more.
            _ if spaced => PathForm::Sent,
            true => PathForm::NormalTwice,
            false => PathForm::Twice,
        };
        (parts, body, vec![form])
    }

    fn verify(&self, place: &str) -> (Parts, Proof) {
        let (parts, body, forms) = self.signed(place);
        let claim = read(&parts).unwrap().expect("it is signed");
        let proof = verify_with(&claim, &parts, Some(Hash::of(&[&body]).0), &self.key(), self.now(), &forms);
        (parts, proof.unwrap_or_else(|error| panic!("{} {place}: {error}", self.folder.display())))
    }
}

/// A request as it stands in a vector. Folded lines are unfolded as RFC 9112 §5.2 says; `true` where the target had a blank.
fn parse(text: &str) -> Option<(Parts, Vec<u8>, bool)> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut().filter(|_| line.starts_with(' ')) {
            Some(last) => last.push_str(line),
            None => lines.push(line.to_owned()),
        }
    }
    let (first, headers) = lines.split_first()?;
    let (method, rest) = first.split_once(' ')?;
    let target = rest.strip_suffix(" HTTP/1.1")?;
    let uri: Uri = target.replace(' ', "%20").parse().ok()?;
    let mut request = Request::builder().method(method).uri(uri);
    for line in headers {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    Some((request.body(()).ok()?.into_parts().0, body.as_bytes().to_vec(), target.contains(' ')))
}

/// Runs over the cases of a version; says so where there are none.
fn each(version: &str, check: impl Fn(&Case)) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("SEALGATE_VECTORS").map_or(beside, PathBuf::from).join(version);
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: AWS's vectors are not at {}; set SEALGATE_VECTORS", folder.display());
        return;
    };
    let mut cases = 0;
    for entry in entries {
        let folder = entry.unwrap().path();
        if !folder.join("header-signed-request.txt").exists() {
            println!("skipped: {} has no signed request", folder.display());
            continue;
        }
        let context = serde_json::from_slice(&fs::read(folder.join("context.json")).unwrap()).unwrap();
        check(&Case { folder, context });
        cases += 1;
    }
    assert!(cases >= 35, "{version} has {cases} cases");
}

fn canonical(proof: &Proof, parts: &Parts) -> String {
    let claim = proof.claim();
    let leave_out: &[&str] = match (claim.place(), proof.spelling.token_signed) {
        (Place::Header, _) => &[],
        (Place::Query, true) => &["X-Amz-Signature"],
        (Place::Query, false) => &["X-Amz-Signature", "X-Amz-Security-Token"],
    };
    let path = path(parts.uri.path(), proof.spelling.path);
    let query = query(parts.uri.query().unwrap_or_default(), leave_out);
    let canonical = Canonical { path: &path, query: &query, signed: &claim.signed, payload: &proof.payload_line };
    String::from_utf8(canonical.bytes(parts).unwrap()).unwrap()
}

fn string_to_sign(claim: &Claim, canonical: &str) -> String {
    let hash = Hash::of(&[canonical.as_bytes()]);
    format!("{}\n{}\n{}\n{hash}", claim.algorithm().as_str(), claim.date.text(), claim.scope())
}

#[test]
fn every_vector_is_accepted_and_its_canonical_request_and_string_to_sign_are_awss() {
    for version in ["sigv4", "sigv4a"] {
        each(version, |case| {
            for place in ["header", "query"] {
                let (parts, proof) = case.verify(place);
                let canonical = canonical(&proof, &parts);
                assert_eq!(canonical, case.text(&format!("{place}-canonical-request.txt")), "{} {place}", case.folder.display());
                let string = string_to_sign(proof.claim(), &canonical);
                assert_eq!(string, case.text(&format!("{place}-string-to-sign.txt")), "{} {place}", case.folder.display());
                let signature = case.text(&format!("{place}-signature.txt"));
                assert!(proof.chain.key.fits(string.as_bytes(), signature.trim()));
            }
        });
    }
}

/// A changed request that is still accepted differs in nothing but the spelling.
#[test]
fn a_vector_with_one_changed_byte_is_refused_or_means_the_same() {
    each("sigv4", |case| {
        for place in ["header", "query"] {
            let (original, proof) = case.verify(place);
            let text = case.text(&format!("{place}-signed-request.txt"));
            let (_, _, forms) = case.signed(place);
            let (mut refused, mut same) = (0, 0);
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let Some((parts, body, _)) = parse(&changed) else { continue };
                let Ok(Some(claim)) = read(&parts) else { continue };
                match verify_with(&claim, &parts, Some(Hash::of(&[&body]).0), &case.key(), case.now(), &forms) {
                    Err(_) => refused += 1,
                    Ok(changed) => {
                        same += 1;
                        assert_eq!(canonical(&changed, &parts), canonical(&proof, &original), "{} {at}", case.folder.display());
                        assert_eq!(parts.method, original.method);
                        let normal = forms == [PathForm::NormalTwice];
                        assert!(normal || parts.uri.path() == original.uri.path(), "{} {at}", case.folder.display());
                    }
                }
            }
            assert!(refused > 100 && same < 20, "{} {place}: {refused} refused, {same} taken", case.folder.display());
        }
    });
}

#[test]
fn what_is_signed_again_has_the_vectors_signature() {
    each("sigv4", |case| {
        for (place, later) in [("header", 300), ("query", 0)] {
            let (mut parts, proof) = case.verify(place);
            let (_, body, forms) = case.signed(place);
            let at = case.now() + Duration::from_secs(later);
            // To another key and back: nothing of the first signature is needed.
            let _ = resign(&proof, &mut parts, &credentials(OTHER), at).unwrap();
            let claim = read(&parts).unwrap().unwrap();
            assert_ne!(claim.signature, proof.claim().signature);
            let other = verify_with(&claim, &parts, Some(Hash::of(&[&body]).0), &OTHER, at, &forms).unwrap();
            let resigned = resign(&other, &mut parts, &credentials(case.key()), case.now()).unwrap();
            assert_eq!(resigned.signature(), case.text(&format!("{place}-signature.txt")), "{} {place}", case.folder.display());
            assert_eq!(read(&parts).unwrap().unwrap().signature, resigned.signature());
        }
    });
}

#[test]
fn what_is_signed_again_with_version_4a_fits_the_vectors_public_key() {
    each("sigv4a", |case| {
        let public: Value = serde_json::from_str(&case.text("public-key.json")).unwrap();
        let coordinate = |name: &str| unhex(public[name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("X"), coordinate("Y")].concat();
        for place in ["header", "query"] {
            let (mut parts, proof) = case.verify(place);
            let SigningKey::V4a { public, .. } = &proof.chain.key else { panic!("Version 4a") };
            assert_eq!(*public, point, "the key is derived as AWS does");
            let (_, body, forms) = case.signed(place);
            let _ = resign(&proof, &mut parts, &credentials(OTHER), case.now()).unwrap();
            let other = read(&parts).unwrap().unwrap();
            let other = verify_with(&other, &parts, Some(Hash::of(&[&body]).0), &OTHER, case.now(), &forms).unwrap();
            let resigned = resign(&other, &mut parts, &credentials(case.key()), case.now()).unwrap();
            let string = case.text(&format!("{place}-string-to-sign.txt"));
            let signature = unhex(resigned.signature()).unwrap();
            let judge = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point);
            assert!(judge.verify(string.as_bytes(), &signature).is_ok(), "{} {place}", case.folder.display());
        }
    });
}

#[test]
fn another_secret_is_refused_by_every_vector() {
    for version in ["sigv4", "sigv4a"] {
        each(version, |case| {
            for place in ["header", "query"] {
                let (parts, body, forms) = case.signed(place);
                let claim = read(&parts).unwrap().unwrap();
                assert_eq!(claim.algorithm() == Algorithm::V4a, version == "sigv4a");
                let key = BrokeredKey { secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ", ..case.key() };
                let body = Some(Hash::of(&[&body]).0);
                let refused = verify_with(&claim, &parts, body, &key, case.now(), &forms).unwrap_err();
                assert_eq!(refused, SignatureError::Mismatch);
            }
        });
    }
}
