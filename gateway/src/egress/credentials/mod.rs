//! stub
#![expect(missing_docs, reason = "replaced by the branch sources")]
#[derive(Debug, Default)]
pub struct Sources;
#[derive(Debug, thiserror::Error)]
#[error("no source")]
pub struct SourceError;
impl Sources {
    pub async fn of(&self, _: &sealgate_policies::session::Session) -> Result<aws_credential_types::Credentials, SourceError> {
        let v = |n| std::env::var(n).map_err(|_| SourceError);
        Ok(aws_credential_types::Credentials::new(v("AWS_ACCESS_KEY_ID")?, v("AWS_SECRET_ACCESS_KEY")?, None, None, "stub"))
    }
}
