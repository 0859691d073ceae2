//! What an AWS call is: whose, where, which operation, on what; and what its answer tells.
//!
//! Everything is read from the request itself, never asked of AWS. What can't be read is `None`, not guessed. REST
//! services name no operation in their requests; there the operation is `None` and the access is told by the method.

mod access;
mod answer;
mod bucket;
mod canonical;
mod operation;
mod parameters;
mod scope;

pub use answer::{Answer, answer};
use http::{HeaderMap, Method};
use sealgate_schema::Text;

/// The wire protocol of a service; decides the shape of an error reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `Action` in a form, XML answers (STS, IAM).
    Query,
    /// As [`Protocol::Query`], with EC2's own error shape.
    Ec2,
    /// `X-Amz-Target` and JSON (DynamoDB).
    Json,
    /// Paths and JSON (Lambda).
    RestJson,
    /// Paths and XML (Route 53).
    RestXml,
    /// Paths and XML, S3's own error shape.
    S3,
    /// `/service/S/operation/O` and CBOR (CloudWatch).
    RpcV2Cbor,
    /// Not to be told.
    Unknown,
}

/// Where a request carries its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// In `Authorization`.
    Header,
    /// In the query string.
    Presigned,
    /// Nowhere.
    None,
}

/// What is known of a request before it leaves. Everything but the headers is masked already.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Host without the port.
    pub host: &'a str,
    /// Path, as sent.
    pub path: &'a str,
    /// Query string after the `?`.
    pub query: Option<&'a str>,
    /// The headers as sent. Of a signature nothing but the credential scope is read.
    pub headers: &'a HeaderMap,
    /// What was read of the body: all of it or its beginning.
    pub body: Option<&'a [u8]>,
    /// Whether `body` is all of it.
    pub body_complete: bool,
}

/// What a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Service in the credential scope; of an unsigned call the one that the host names.
    pub service: Option<Text>,
    /// Region, from the same place. Of SigV4a the region set as sent.
    pub region: Option<Text>,
    /// Access key id.
    pub credential: Option<Text>,
    /// Operation, in AWS's spelling.
    pub operation: Option<Text>,
    /// `read`, `write` or `unknown`.
    pub access: Text,
    /// ARNs that the call names, in order, at most [`RESOURCES_MAX`].
    pub resources: Vec<Text>,
    /// Decides the shape of an error reply.
    pub protocol: Protocol,
    /// Where the signature is.
    pub signature: Signature,
    /// Parameters as one JSON object in RFC 8785 form.
    pub parameters: Option<Text>,
}

/// Most resources that one call is said to name. A batch that names more is told by its parameters.
pub const RESOURCES_MAX: usize = 64;

/// Names a request.
pub fn interpret(request: &Request<'_>) -> Call {
    let scope = scope::of(request);
    let operation = operation::of(request, &scope);
    let mut resources = Resources::default();
    if operation.protocol == Protocol::S3 {
        bucket::resources(request, &scope, &mut resources);
    }
    let parameters = parameters::of(request, operation.protocol, &mut resources);
    Call {
        access: Text::Static(access::of(operation.name.as_deref(), operation.protocol, request)),
        operation: operation.name.map(|name| shared(&name)),
        service: scope.service.as_deref().map(scope::known),
        region: scope.region.as_deref().map(scope::known),
        credential: scope.credential.as_deref().map(shared),
        resources: resources.0,
        protocol: operation.protocol,
        signature: scope.signature,
        parameters,
    }
}

/// The ARNs of a call, as they come up.
#[derive(Default)]
struct Resources(Vec<Text>);

impl Resources {
    /// Takes a value if it is an ARN.
    fn take(&mut self, value: &str) {
        let arn = || value.bytes().filter(|b| *b == b':').count() >= 5 && value.bytes().all(|b| b > b' ' && b != 0x7f);
        if value.starts_with("arn:") && arn() {
            self.add(value);
        }
    }

    /// Adds an ARN, once.
    fn add(&mut self, arn: &str) {
        if arn.len() <= ARN_MAX && self.0.len() < RESOURCES_MAX && !self.0.iter().any(|known| known == arn) {
            self.0.push(shared(arn));
        }
    }
}

/// The longest ARN that IAM takes, in bytes; more than an S3 key can make of one.
const ARN_MAX: usize = 2048;

fn shared(text: &str) -> Text {
    Text::Shared(text.into())
}

#[cfg(test)]
mod tests;
