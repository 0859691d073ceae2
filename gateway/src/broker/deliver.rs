//! stub
#![allow(missing_docs)]
pub const CREDENTIALS_PATH: &str = "/_sealgate/credentials";
pub async fn container_credentials(
    _: &crate::app::Gateway,
    _: &http::Request<hyper::body::Incoming>,
    _: std::net::SocketAddr,
) -> http::Response<crate::observe::AnswerBody> {
    todo!()
}
