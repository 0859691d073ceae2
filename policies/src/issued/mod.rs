//! stub
#![allow(missing_docs)]
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    A,
}
#[derive(Debug)]
pub struct Issued;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct CannotRead;
pub fn issues(_: &crate::naming::aws::Call, _: &str, _: &str) -> Option<Kind> {
    None
}
pub fn read(_: Kind, _: Option<&str>, _: Option<&str>, _: &[u8]) -> Result<Option<Issued>, CannotRead> {
    Ok(None)
}
pub fn replace(body: &[u8], _: &Issued, _: &(&str, &str, &str)) -> Vec<u8> {
    body.to_vec()
}
