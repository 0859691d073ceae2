//! Every refusal and failure in the shape that the client's own error handling reads. The one place that makes them.

use crate::{egress::upstream::UpstreamError, ledger::LedgerError, observe::AnswerBody};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use sealgate_policies::naming::aws::Protocol;

/// What to tell the client.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status. SDKs try again on 502, 503 and 504, and not on 403.
    pub status: StatusCode,
    /// Error code, in the provider's spelling where it has one.
    pub code: &'static str,
    /// `error_code` of the record.
    pub record_code: &'static str,
    /// One line that says what to do.
    pub message: String,
}

impl Problem {
    /// The ledger can't take the call.
    pub fn of_ledger(error: &LedgerError) -> Self {
        let (status, code) = match error {
            LedgerError::WindowClosed(_) | LedgerError::WindowExists(_) => (StatusCode::FORBIDDEN, "AccessDenied"),
            LedgerError::Unwritable(_) | LedgerError::Busy | LedgerError::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
        };
        Self { status, code, record_code: "SealgateLedger", message: error.to_string() }
    }

    /// The call was sent, and its outcome could not be written. A status that SDKs don't try again: it may have been done.
    pub fn unrecorded(error: &LedgerError, call: &str) -> Self {
        let message = format!(
            "the call was sent (record {call}), but its outcome could not be recorded ({error}); look what it did before you try again"
        );
        Self { status: StatusCode::INSUFFICIENT_STORAGE, code: "OutcomeNotRecorded", record_code: "SealgateLedger", message }
    }

    /// The upstream did not answer.
    pub fn of_upstream(error: &UpstreamError) -> Self {
        let (status, code, record_code) = match error {
            UpstreamError::Failed(_) => (StatusCode::BAD_GATEWAY, "BadGateway", "SealgateUpstreamFailed"),
            UpstreamError::Silent(_) => (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", "SealgateUpstreamSilent"),
            UpstreamError::Over(_) => (StatusCode::FORBIDDEN, "AccessDenied", "SealgateCut"),
            UpstreamError::Body(_) => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "SealgateSignature"),
            UpstreamError::NotContained(_) => (StatusCode::FAILED_DEPENDENCY, "NotContained", "SealgateNotContained"),
            UpstreamError::Unsigned(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "SealgateUnsigned"),
        };
        let message = match error {
            UpstreamError::Failed(_) | UpstreamError::Silent(_) => format!("the upstream did not answer: {error}"),
            told => told.to_string(),
        };
        Self { status, code, record_code, message }
    }
}

/// An error in the shape of the protocol that the call speaks.
pub fn error(protocol: Protocol, problem: &Problem, request_id: &str) -> Response<AnswerBody> {
    let message = format!("sealgate: {}", problem.message);
    let code = problem.code;
    let (content_type, body) = match protocol {
        Protocol::Query => ("text/xml", query_error(problem, &message, request_id)),
        Protocol::Ec2 => {
            let (code, message) = (escape(code), escape(&message));
            ("text/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>").into_bytes())
        }
        Protocol::S3 | Protocol::RestXml => {
            let (code, message) = (escape(code), escape(&message));
            ("application/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>").into_bytes())
        }
        Protocol::RpcV2Cbor => ("application/cbor", cbor_error(code, &message)),
        Protocol::Json => {
            ("application/x-amz-json-1.1", serde_json::json!({ "__type": code, "message": message }).to_string().into_bytes())
        }
        Protocol::RestJson | Protocol::Unknown => {
            ("application/json", serde_json::json!({ "code": code, "message": message }).to_string().into_bytes())
        }
    };
    let mut response = plain(problem.status, content_type, body.into());
    let headers = response.headers_mut();
    headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    if protocol == Protocol::RpcV2Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    response
}

/// A response with a whole body.
pub fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn query_error(problem: &Problem, message: &str, request_id: &str) -> Vec<u8> {
    let kind = if problem.status.is_client_error() { "Sender" } else { "Receiver" };
    let (code, message) = (escape(problem.code), escape(message));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>").into_bytes()
}

fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// `{"__type": code, "message": message}` in CBOR: a map, which the evidence encoding does not have.
fn cbor_error(code: &str, message: &str) -> Vec<u8> {
    let mut out = vec![0xa2];
    let mut encoder = sealgate_schema::canonical::Encoder::new(&mut out);
    for text in ["__type", code, "message", message] {
        encoder.text(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn check(protocol: Protocol, content_type: &str, holds: &[&str]) {
        let problem =
            Problem { status: StatusCode::FORBIDDEN, code: "AccessDenied", record_code: "x", message: "a < b".to_owned() };
        let response = error(protocol, &problem, "req-1");
        assert_eq!(response.headers()["content-type"], content_type, "{protocol:?}");
        assert_eq!(response.status(), 403);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        holds.iter().for_each(|part| assert!(text.contains(part), "{protocol:?}: {text}"));
    }

    #[tokio::test]
    async fn an_error_has_the_shape_of_its_protocol() {
        check(
            Protocol::Query,
            "text/xml",
            &["<ErrorResponse>", "<Type>Sender</Type>", "<Code>AccessDenied</Code>", "a &lt; b", "<RequestId>req-1</RequestId>"],
        )
        .await;
        check(Protocol::Ec2, "text/xml", &["<Response><Errors>", "<RequestID>req-1</RequestID>"]).await;
        check(Protocol::S3, "application/xml", &["<Error><Code>AccessDenied</Code>"]).await;
        check(Protocol::Json, "application/x-amz-json-1.1", &["\"__type\":\"AccessDenied\"", "a < b"]).await;
        check(Protocol::RestJson, "application/json", &["\"message\":\"sealgate: a < b\""]).await;
        check(Protocol::RpcV2Cbor, "application/cbor", &["__type", "AccessDenied"]).await;
    }
}
