//! A PostgreSQL server of a test's own: in a temporary folder, on a free port of loopback, gone with the value. Where its programs
//! are not installed there is none, and the test says so.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The user that the server runs as where the test is root, as which it won't run.
const USER: &str = "postgres";

/// A server with one empty database.
pub struct Postgres {
    /// `postgres://…` of the database, over TLS with the server's certificate checked.
    pub url: String,
    child: Child,
    _folder: TempDir,
}

impl Postgres {
    /// Starts one. `None`, and a printed line, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL's server programs are not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        if let Some((uid, gid)) = other_user() {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let made =
            as_server(&programs.join("initdb")).args(["-A", "trust", "-U", "sealgate", "-N", "-D"]).arg(&data).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let certificate = certificate(folder.path(), &data);
        // Free now; whoever takes it before the server does makes the test fail and not lie.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = as_server(&programs.join("postgres"));
        server
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off", "-c", "ssl=on", "-k"])
            .arg(folder.path());
        let mut child = server.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map_while(Result::ok).find(|line| line.contains("ready to accept connections"));
        assert!(ready.is_some(), "PostgreSQL does not start");
        // Read on, so that it is never stopped by a full pipe. Ends with the server.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        let (tls, ca) = ("sslmode=verify-full&sslrootcert=", certificate.display());
        Some(Self { url: format!("postgres://sealgate@127.0.0.1:{port}/postgres?{tls}{ca}"), child, _folder: folder })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends it at once with all its children; what it kept goes with the folder.
        let _ = Command::new("kill").arg("-QUIT").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Makes a certificate for the server, where it looks for it; returns that file.
fn certificate(folder: &Path, data: &Path) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    // In its own folder it is the server's, which takes no key that others may read.
    let put = |name: &str, pem: &str| {
        let file = data.join(name);
        fs::write(&file, pem).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = other_user() {
            std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
        }
    };
    put("server.crt", &certificate.pem());
    put("server.key", &key.serialize_pem());
    let file = folder.join("server.pem");
    fs::write(&file, certificate.pem()).unwrap();
    file
}

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
    versions.filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists()).max()
}

fn as_server(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The other user, where this one is root.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<_> = users.lines().find(|line| line.starts_with(&format!("{USER}:")))?.split(':').collect();
    Some((fields.get(2)?.parse().unwrap(), fields.get(3)?.parse().unwrap()))
}
