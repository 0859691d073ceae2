//! moto: a local AWS over TLS, every service on one port.

use crate::programs::python;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long moto may take to start on a busy machine.
const START_WAIT: Duration = Duration::from_secs(120);

/// A running moto. The process ends when this goes.
pub struct Moto {
    /// PEM file of the CA to trust.
    pub ca: PathBuf,
    port: u16,
    child: Child,
}

impl Moto {
    /// Starts one. With `checked_after`, the calls after so many have to be signed by a key that exists and may do them.
    pub fn start(folder: &Path, checked_after: Option<u32>) -> Self {
        let (ca, certificate, key) = certificates(folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.join("moto.log")).unwrap();
        let mut command = Command::new(python("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s"]).arg("-c").arg(certificate).arg("-k").arg(key);
        if let Some(calls) = checked_after {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", calls.to_string());
        }
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let moto = Self { ca, port, child };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < START_WAIT, "moto did not start: see {}", folder.join("moto.log").display());
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The route that brings every AWS host here, for `sealgate.toml`.
    pub fn route(&self) -> String {
        format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"127.0.0.1:{}\"\nca = \"{}\"\n", self.port, self.ca.display())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn certificates(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let ca_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = parameters.self_signed(&ca_key).unwrap();
    let names = ["*.amazonaws.com", "*.us-east-1.amazonaws.com", "*.s3.amazonaws.com", "*.s3.us-east-1.amazonaws.com"];
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names.map(String::from)).unwrap().signed_by(&key, &Issuer::new(parameters, ca_key)).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    (write("moto-ca.pem", ca.pem()), write("moto.pem", leaf.pem()), write("moto.key", key.serialize_pem()))
}
