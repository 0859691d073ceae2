//! A real timestamp authority: `openssl ts -reply` behind a little HTTP.

use crate::programs::openssl;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const CONFIGURATION: &str = "
[req]
distinguished_name = name
prompt = no
[name]
CN = test timestamp authority
[extensions]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
basicConstraints = CA:FALSE
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
";

/// A running authority. It ends with its runtime.
pub struct Tsa {
    /// Where it listens.
    pub address: SocketAddr,
    /// PEM file of the certificate to trust.
    pub ca: PathBuf,
}

impl Tsa {
    /// Makes its key in `folder` and starts it.
    pub async fn start(folder: &Path) -> Self {
        let folder = folder.to_owned();
        fs::write(folder.join("tsa.cnf"), CONFIGURATION).unwrap();
        fs::write(folder.join("serial"), "01\n").unwrap();
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsa.key -out tsa.pem -days 30 -config tsa.cnf -extensions extensions";
        openssl(&folder, arguments).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tsa = Self { address: listener.local_addr().unwrap(), ca: folder.join("tsa.pem") };
        // openssl keeps its serial number in a file, so one request at a time.
        let folder = Arc::new(Mutex::new(folder));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let folder = folder.clone();
                let service = service_fn(move |request| answer(folder.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        tsa
    }
}

async fn answer(folder: Arc<Mutex<PathBuf>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/timestamp-query");
    let query = request.into_body().collect().await.unwrap().to_bytes();
    let reply = move || {
        let folder = folder.lock().unwrap();
        fs::write(folder.join("query"), query).unwrap();
        openssl(&folder, "ts -reply -queryfile query -config tsa.cnf -section authority -out reply").unwrap();
        fs::read(folder.join("reply")).unwrap()
    };
    let reply = tokio::task::spawn_blocking(reply).await.unwrap();
    Ok(Response::builder().header(header::CONTENT_TYPE, "application/timestamp-reply").body(Full::from(reply)).unwrap())
}

/// Whether openssl says that `tsr` is a timestamp over `note` by an authority that `ca` holds.
pub fn is_stamped(tsr: &Path, note: &Path, ca: &Path) -> Result<(), String> {
    let arguments = format!("ts -verify -in {} -data {} -CAfile {}", tsr.display(), note.display(), ca.display());
    openssl(Path::new("."), &arguments)
}
