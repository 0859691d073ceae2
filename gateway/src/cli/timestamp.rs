//! Timestamps for `sealgate verify`: openssl decides whether a token holds under the certificates that the auditor trusts.

use std::{
    io,
    path::Path,
    process::{Command, Output},
};

/// Checks with openssl that `tsr` is a timestamp over the bytes of `note` by an authority under a certificate of the PEM file
/// `ca`. Returns the time in it, as openssl prints it.
///
/// What openssl would use besides (its configuration, the system's certificates) is kept out.
pub(super) fn openssl_verify(tsr: &Path, note: &Path, ca: &Path) -> Result<String, String> {
    let mut verify = Command::new("openssl");
    verify.args(["ts", "-verify", "-in"]).arg(tsr).arg("-data").arg(note).arg("-CAfile").arg(ca);
    let verified = run(verify.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null").env_remove("OPENSSL_CONF"))?;
    if !verified.status.success() || !String::from_utf8_lossy(&verified.stdout).contains("Verification: OK") {
        return Err(format!("openssl ts -verify: {}", why(&verified)));
    }
    let mut print = Command::new("openssl");
    print.args(["ts", "-reply", "-text", "-in"]).arg(tsr);
    let printed = run(&mut print)?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let time = text.lines().find_map(|line| line.strip_prefix("Time stamp: "));
    time.map(str::to_owned).ok_or_else(|| format!("openssl ts -reply: {}", why(&printed)))
}

fn run(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "openssl is not installed: install it, or leave --tsa-ca away".to_owned(),
        _ => format!("openssl can't be run: {error}"),
    })
}

/// The line of openssl's errors that says most: the last one, without the address of the thread and the source file.
fn why(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last =
        text.lines().rev().find(|line| line.contains(":error:")).or_else(|| text.lines().last()).unwrap_or("it says nothing");
    let parts: Vec<&str> = last.split(':').collect();
    match parts.as_slice() {
        [_, "error", _, _, _, reason, _, _, more @ ..] => format!("{reason} {}", more.join(":")).trim().to_owned(),
        _ => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CONFIGURATION: &str = "
[req]
distinguished_name = name
prompt = no
[name]
CN = test timestamp authority
[extensions]
extendedKeyUsage = critical, timeStamping
basicConstraints = CA:FALSE
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = ca.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
";

    fn openssl(folder: &Path, arguments: &str) {
        let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_timestamp_holds_for_its_note_and_its_authority_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cnf"), CONFIGURATION).unwrap();
        fs::write(path("serial"), "01\n").unwrap();
        fs::write(path("note"), "a note").unwrap();
        fs::write(path("other"), "another").unwrap();
        for ca in ["ca.pem", "other.pem"] {
            let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -days 30 -config cnf -extensions extensions";
            openssl(folder.path(), &format!("{request} -out {ca}"));
            if ca == "ca.pem" {
                openssl(folder.path(), "ts -query -sha256 -cert -data note -out query");
                openssl(folder.path(), "ts -reply -queryfile query -config cnf -section authority -out tsr");
            }
        }
        let time = openssl_verify(&path("tsr"), &path("note"), &path("ca.pem")).unwrap();
        assert!(time.ends_with("GMT"), "{time}");
        for (tsr, note, ca, said) in [
            ("tsr", "other", "ca.pem", "message imprint mismatch"),
            ("tsr", "note", "other.pem", "certificate verify error"),
            ("tsr", "note", "note", "openssl ts -verify"),
            ("note", "note", "ca.pem", "openssl ts -verify"),
            ("missing", "note", "ca.pem", "openssl ts -verify"),
        ] {
            let error = openssl_verify(&path(tsr), &path(note), &path(ca)).unwrap_err();
            assert!(error.contains(said), "{tsr} {note} {ca}: {error}");
        }
    }
}
