//! stub
#![allow(missing_docs, dead_code)]
pub mod deliver;
use sealgate_policies::session::{Session, Status};
use sealgate_schema::Text;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;
#[derive(Debug)]
pub struct Brokered {
    pub id: Text,
    pub session: Arc<Session>,
    secret: Zeroizing<String>,
    token: Zeroizing<String>,
}
#[derive(Debug)]
pub struct Learnt {
    pub id: Text,
    pub session: Arc<Session>,
}
impl Learnt {
    pub fn chain(&self) -> Vec<Text> {
        vec![self.id.clone()]
    }
    pub fn ended(&self, _: i64) -> Option<Ended> {
        None
    }
}
#[derive(Debug, Clone, Copy)]
pub enum Ended {
    Revoked,
    Expired,
}
impl Ended {
    pub fn as_str(self) -> &'static str {
        "expired"
    }
    pub fn cuts(self) -> bool {
        matches!(self, Self::Revoked)
    }
}
impl Brokered {
    pub fn secret(&self) -> &str {
        &self.secret
    }
    pub fn token(&self) -> &str {
        &self.token
    }
    pub fn chain(&self) -> Vec<Text> {
        vec![self.id.clone()]
    }
    pub fn real(&self) -> Option<&aws_credential_types::Credentials> {
        None
    }
    pub fn ended(&self, _: i64) -> Option<Ended> {
        None
    }
    pub fn handed_out(&self) -> (&str, &str, &str) {
        (&self.id, &self.secret, &self.token)
    }
}
#[derive(Debug, thiserror::Error)]
#[error("broker")]
pub struct BrokerError;
#[derive(Debug, Default)]
pub struct Broker(Mutex<HashMap<Text, Arc<Brokered>>>);
pub struct Origin;
impl Origin {
    pub fn of(_: sealgate_policies::issued::Kind, _: &sealgate_policies::issued::Issued) -> Self {
        Self
    }
}
pub struct Received;
impl From<&sealgate_policies::issued::Issued> for Received {
    fn from(_: &sealgate_policies::issued::Issued) -> Self {
        Self
    }
}
impl Broker {
    pub fn find(&self, id: &str) -> Option<Arc<Brokered>> {
        self.0.lock().unwrap().get(id).cloned()
    }
    pub fn lineage(&self, _: &str, _: Option<&str>) -> Option<Arc<Learnt>> {
        None
    }
    pub fn issue(&self, session: &Arc<Session>) -> Arc<Brokered> {
        let n = self.0.lock().unwrap().len();
        let b = Arc::new(Brokered {
            id: format!("ASIASTUB{n:012}").into(),
            session: session.clone(),
            secret: Zeroizing::new(format!("secret{n}")),
            token: Zeroizing::new(format!("token{n}")),
        });
        self.0.lock().unwrap().insert(b.id.clone(), b.clone());
        let _ = Status::Open;
        b
    }
    pub async fn adopt(
        &self,
        _: Option<&Arc<Brokered>>,
        _: &Arc<Session>,
        _: Received,
        _: Origin,
    ) -> Result<Arc<Brokered>, BrokerError> {
        Err(BrokerError)
    }
    pub async fn learn(&self, _: Option<&Arc<Brokered>>, _: &Arc<Session>, _: Received, _: Origin) -> Result<(), BrokerError> {
        Err(BrokerError)
    }
}
