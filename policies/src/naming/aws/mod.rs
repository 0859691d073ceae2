//! What an AWS call is.
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
    /// The headers as sent.
    pub headers: &'a HeaderMap,
    /// What was read of the body: all of it or its beginning.
    pub body: Option<&'a [u8]>,
    /// Whether `body` is all of it.
    pub body_complete: bool,
}

/// What a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Service in the credential scope.
    pub service: Option<Text>,
    /// Region in the credential scope.
    pub region: Option<Text>,
    /// Access key id.
    pub credential: Option<Text>,
    /// Operation, in the provider's spelling.
    pub operation: Option<Text>,
    /// `read`, `write` or `unknown`.
    pub access: Text,
    /// ARNs that the call names.
    pub resources: Vec<Text>,
    /// Decides the shape of an error reply.
    pub protocol: Protocol,
    /// Where the signature is.
    pub signature: Signature,
    /// Parameters as one JSON object in RFC 8785 form.
    pub parameters: Option<Text>,
}

/// What an answer tells of its call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Account number.
    pub account: Option<Text>,
    /// AWS's id of the request.
    pub request_id: Option<Text>,
    /// AWS's error code.
    pub error_code: Option<Text>,
}

/// Names a request.
pub fn interpret(request: &Request<'_>) -> Call {
    let _ = request;
    Call {
        service: None,
        region: None,
        credential: None,
        operation: None,
        access: Text::Static("unknown"),
        resources: Vec::new(),
        protocol: Protocol::Unknown,
        signature: Signature::None,
        parameters: None,
    }
}

/// Reads an answer.
pub fn answer(call: &Call, status: u16, headers: &HeaderMap, body: Option<&[u8]>) -> Answer {
    let _ = (call, status, headers, body);
    Answer::default()
}
