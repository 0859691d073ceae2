//! An S3 that checks what it gets: s3s with its file system, which refuses every signature, body hash, chunk and trailer that
//! does not fit. In process, over TLS.

use crate::upstream::Upstream;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, host::MultiDomain, service::S3ServiceBuilder};
use std::path::Path;

/// The only key that it knows.
pub const ACCESS_KEY: &str = "AKIAREALREALREALREAL";
/// Its secret.
pub const SECRET_KEY: &str = "real-secret-real-secret-real-secret-real";
/// What it is asked for as, path style or with a bucket before it.
const DOMAINS: [&str; 2] = ["s3.us-east-1.amazonaws.com", "s3.amazonaws.com"];

/// Starts one that keeps its buckets as folders of `folder/s3`.
pub async fn start(folder: &Path) -> Upstream {
    let root = folder.join("s3");
    std::fs::create_dir_all(&root).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&root).expect("a folder"));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    builder.set_host(MultiDomain::new(&DOMAINS).unwrap());
    let service = builder.build();
    Upstream::raw(folder, move |stream| {
        let service = service.clone();
        async move {
            // A client that goes away ends its connection with an error, which is its affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}
