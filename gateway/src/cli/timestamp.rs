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
