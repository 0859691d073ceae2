//! The SPIFFE ID of a client certificate (X.509-SVID). Who signed it, the TLS handshake has checked; what it says is read here.

use rustls::pki_types::CertificateDer;
use sealgate_policies::principal::spiffe::SpiffeId;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// The ID of the first certificate, if it is that of a workload at `now` (microseconds since 1970 UTC). X.509-SVID §2, §4 and §5.2:
/// one URI and no more among the subject's alternative names, no CA, a key that signs.
pub fn spiffe_id(chain: &[CertificateDer<'_>], now: i64) -> Result<SpiffeId, String> {
    let leaf = chain.first().ok_or("there is none")?;
    let (rest, leaf) = X509Certificate::from_der(leaf).map_err(|error| format!("it can't be read: {error}"))?;
    if !rest.is_empty() {
        return Err("bytes follow it".to_owned());
    }
    let moment = ASN1Time::from_timestamp(now.div_euclid(1_000_000)).map_err(|error| error.to_string())?;
    if !leaf.validity().is_valid_at(moment) {
        return Err(format!("it is valid from {} to {} only", leaf.validity().not_before, leaf.validity().not_after));
    }
    check_use(&leaf)?;
    let id = only_uri(&leaf)?;
    SpiffeId::parse(id)
}

fn check_use(leaf: &X509Certificate<'_>) -> Result<(), String> {
    let unreadable = |error: x509_parser::error::X509Error| format!("its extensions can't be read: {error}");
    if leaf.basic_constraints().map_err(unreadable)?.is_some_and(|constraints| constraints.value.ca) {
        return Err("it is a CA's, and no workload's".to_owned());
    }
    let usage = leaf.key_usage().map_err(unreadable)?.ok_or("it does not say what its key is for (key usage)")?.value;
    match usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign() {
        true => Ok(()),
        false => Err("its key is not for signing, or is for signing certificates too".to_owned()),
    }
}

fn only_uri<'a>(leaf: &'a X509Certificate<'_>) -> Result<&'a str, String> {
    let names = leaf.subject_alternative_name().map_err(|error| format!("its alternative names can't be read: {error}"))?;
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        (None, _) => Err("it has no SPIFFE ID: no URI among its alternative names".to_owned()),
        (Some(_), Some(_)) => Err("it has more than one URI among its alternative names: an SVID has one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
    use std::time::{Duration, SystemTime};

    const ID: &str = "spiffe://prod.example/ns/ci/sa/deploy";

    fn now() -> i64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64
    }

    fn read(uris: &[&str], change: impl Fn(&mut CertificateParams)) -> Result<String, String> {
        let mut parameters = CertificateParams::new(vec!["deploy.example".to_owned()]).unwrap();
        parameters.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut parameters);
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        spiffe_id(&[certificate.der().clone()], now()).map(|id| id.to_string())
    }

    #[test]
    fn one_uri_that_is_a_spiffe_id_is_read() {
        assert_eq!(read(&[ID], |_| {}), Ok(ID.to_owned()));
    }

    #[test]
    fn none_two_and_others_are_refused() {
        for (uris, why) in [
            (&[][..], "no SPIFFE ID"),
            (&[ID, "spiffe://prod.example/ns/ci/sa/other"], "more than one"),
            (&[ID, ID], "more than one"),
            (&["https://prod.example/a"], "not a SPIFFE ID"),
            (&["spiffe://prod.example"], "not a SPIFFE ID"),
        ] {
            let error = read(uris, |_| {}).unwrap_err();
            assert!(error.contains(why), "{uris:?}: {error}");
        }
        assert!(spiffe_id(&[], now()).is_err());
        assert!(spiffe_id(&[CertificateDer::from(vec![0x30, 0x80])], now()).is_err());
    }

    #[test]
    fn a_ca_an_expired_one_and_a_key_for_other_things_are_refused() {
        let ca = |parameters: &mut CertificateParams| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert!(read(&[ID], ca).unwrap_err().contains("CA"));
        let past = |parameters: &mut CertificateParams| parameters.not_after = (SystemTime::now() - Duration::from_secs(5)).into();
        assert!(read(&[ID], past).unwrap_err().contains("valid from"));
        let future = |parameters: &mut CertificateParams| {
            parameters.not_before = (SystemTime::now() + Duration::from_secs(3_600)).into();
        };
        assert!(read(&[ID], future).unwrap_err().contains("valid from"));
        assert!(read(&[ID], |parameters| parameters.key_usages.clear()).unwrap_err().contains("key usage"));
        let signer = |parameters: &mut CertificateParams| parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
        assert!(read(&[ID], signer).unwrap_err().contains("signing certificates"));
    }
}
