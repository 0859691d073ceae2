//! The redaction floor. Each input is taken as it is, and then with a secret of our own planted into it: whatever stands
//! around the secret, nothing of it may be left.

use crate::aws::message;
use http::HeaderValue;
use quick_xml::events::Event;
use sealgate_policies::redact::{self, Body};
use serde_json::Value;

/// No six letters of it in a row are found in anything else.
const SECRET: &str = "Zq7Xv9Kw3Lm5Tj8R";
const TRACE: usize = 6;

/// Names that say that a secret follows.
const NAMES: [&str; 6] =
    ["SecretAccessKey", "MasterUserPassword", "x-amz-security-token", "client_secret", "DB_PASSWORD", "privateKey"];

fn leaks(text: &[u8]) -> bool {
    // Asked of every byte of every input: a trace is looked for only where its first letter stands.
    let starts = text.iter().enumerate().filter(|(_, byte)| SECRET.as_bytes().contains(byte));
    let mut found = starts.filter_map(|(at, _)| std::str::from_utf8(text.get(at..at + TRACE)?).ok());
    found.any(|trace| SECRET.contains(trace))
}

/// One of several, chosen by the input.
fn pick(data: &[u8], count: usize) -> usize {
    data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % count.max(1)
}

/// Redacts a text with the secret in it, whole and cut off within the secret and after it.
fn check_planted(text: &[u8], content_type: &str) {
    let kept = |complete: bool, text: &[u8]| match redact::body(text, complete, Some(content_type), None) {
        Body::Clean => leaks(text),
        Body::Masked(masked) => leaks(&masked),
        Body::Omit => false,
    };
    assert!(!kept(true, text), "a secret is left in {}", text.escape_ascii());
    let end = text.windows(SECRET.len()).position(|window| window == SECRET.as_bytes()).expect("it was planted") + SECRET.len();
    for cut in [end - SECRET.len() + TRACE, end, (end + 3).min(text.len())] {
        assert!(!kept(false, &text[..cut]), "a secret is left in the beginning {}", text[..cut].escape_ascii());
    }
}

/// What is masked is masked for good, and masking again changes nothing.
fn masked(data: &[u8], content_type: Option<&str>) -> Option<Vec<u8>> {
    for complete in [true, false] {
        if let Body::Masked(masked) = redact::body(data, complete, content_type, None) {
            match redact::body(&masked, complete, content_type, None) {
                Body::Clean => {}
                again => assert_eq!(again, Body::Masked(masked.clone()), "masking is a fixed point"),
            }
            if complete {
                return Some(masked);
            }
        }
    }
    None
}

/// JSON stays JSON, and a member with a secret's name loses its value.
pub(crate) fn json(data: &[u8]) -> bool {
    const JSON: &str = "application/x-amz-json-1.1";
    let masked = masked(data, Some(JSON));
    let Ok(mut value) = serde_json::from_slice::<Value>(data) else { return masked.is_some() };
    if let Some(masked) = &masked
        && matches!(data.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'))
    {
        assert!(serde_json::from_slice::<Value>(masked).is_ok(), "no JSON any more: {}", masked.escape_ascii());
    }
    if !leaks(data) && (value.is_object() || value.is_array()) {
        plant(&mut value, data);
        check_planted(value.to_string().as_bytes(), JSON);
    }
    masked.is_some()
}

/// Puts the secret into one of the objects, by its own name or beside it.
fn plant(value: &mut Value, data: &[u8]) {
    let mut count = 0;
    each_container(value, &mut |_| count += 1);
    let (chosen, mut at) = (pick(data, count), 0);
    let name = NAMES[pick(data, NAMES.len())];
    let pair = serde_json::json!({ "Name": name, "Value": SECRET });
    each_container(value, &mut |container| {
        match container {
            Value::Object(members) if at == chosen && data.len().is_multiple_of(2) => {
                drop(members.insert("planted".into(), pair.clone()))
            }
            Value::Object(members) if at == chosen => drop(members.insert(name.into(), SECRET.into())),
            Value::Array(values) if at == chosen => values.push(pair.clone()),
            _ => {}
        }
        at += 1;
    });
}

/// Every object and array, the outer before the inner.
fn each_container(value: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    if value.is_object() || value.is_array() {
        visit(value);
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| each_container(value, visit)),
        Value::Array(values) => values.iter_mut().for_each(|value| each_container(value, visit)),
        _ => {}
    }
}

/// An element with a secret's name loses its text, wherever another parser says that an element may stand.
pub(crate) fn xml(data: &[u8]) -> bool {
    let masked = masked(data, Some("text/xml"));
    if data.first() == Some(&b'<') && !leaks(data) {
        let places = places_for_elements(data);
        if let Some(place) = places.get(pick(data, places.len())) {
            let name = NAMES[pick(data, NAMES.len())];
            let (before, after) = data.split_at(*place);
            for planted in [
                format!("<{name}>{SECRET}</{name}>"),
                format!("<a {name}='{SECRET}'/>"),
                format!("<a {name}={SECRET} b=''/>"),
                format!("<!-- {name}: {SECRET} -->"),
            ] {
                check_planted(&[before, planted.as_bytes(), after].concat(), "text/xml");
            }
        }
    }
    masked.is_some()
}

/// Behind each start tag of a document that is well-formed; none where it is not.
fn places_for_elements(data: &[u8]) -> Vec<usize> {
    let Ok(text) = std::str::from_utf8(data) else { return Vec::new() };
    let (mut reader, mut places, mut depth) = (quick_xml::Reader::from_str(text), Vec::new(), 0usize);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                depth += 1;
                places.extend(usize::try_from(reader.buffer_position()));
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return if depth == 0 { places } else { Vec::new() },
            Ok(_) => {}
            Err(_) => return Vec::new(),
        }
    }
}

/// A parameter with a secret's name loses its value, in a form and in a query string.
pub(crate) fn form(data: &[u8]) -> bool {
    const FORM: &str = "application/x-www-form-urlencoded";
    let masked = masked(data, Some(FORM));
    let Ok(text) = std::str::from_utf8(data) else { return masked.is_some() };
    if !leaks(data) {
        let ends: Vec<usize> = text.match_indices('&').map(|(place, _)| place).chain([text.len()]).collect();
        let (before, after) = text.split_at(ends[pick(data, ends.len())]);
        let planted = format!("{before}&Prefix.{}={SECRET}{after}", NAMES[pick(data, NAMES.len())]);
        assert!(!leaks(redact::query(&planted).as_bytes()), "a secret is left in the query {planted}");
        check_planted(planted.as_bytes(), FORM);
    }
    masked.is_some()
}

/// A body whose syntax is declared by the first line of the input, or not at all.
pub(crate) fn body(data: &[u8]) -> bool {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (line, body) = data.split_at(end);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let declared = std::str::from_utf8(line).unwrap_or("");
    let (kind, coding) = declared.split_once('|').map_or((declared, None), |(kind, coding)| (kind, Some(coding)));
    for complete in [true, false] {
        for kind in [Some(kind), None] {
            let _ = redact::body(body, complete, kind, coding);
        }
    }
    if !leaks(body) {
        // Whatever the syntax seems to be, and in none: a name and its value behind it.
        let planted = [body, b"\n", NAMES[0].as_bytes(), b": ", SECRET.as_bytes()].concat();
        let left = match redact::body(&planted, true, Some("text/plain"), None) {
            Body::Clean => true,
            Body::Masked(masked) => leaks(&masked),
            Body::Omit => false,
        };
        assert!(!left, "a secret is left in {}", planted.escape_ascii());
    }
    redact::body(body, true, Some(kind), coding) != Body::Clean
}

/// Credentials in header fields are masked, whatever stands before them in the field and in those around it.
pub(crate) fn headers(data: &[u8]) -> bool {
    let Some((line, mut fields, _)) = message(data) else { return false };
    if leaks(data) {
        return false;
    }
    let count = fields.len();
    let value = |text: String| HeaderValue::from_str(&text).ok();
    let planted = [
        ("authorization", value(format!("{line}, Signature={SECRET}"))),
        ("x-other-authorization", value(format!("{line}, Signature={SECRET}"))),
        ("location", value(format!("{line}?X-Amz-Signature={SECRET}"))),
        ("x-amz-security-token", value(format!("{line}{SECRET}"))),
        ("cookie", value(format!("{line}={SECRET}"))),
        ("x-odd", value(format!("{line}?X-Amz-Signature={SECRET}"))),
    ];
    for (name, value) in planted {
        if let Some(value) = value {
            fields.append(name, value);
        }
    }
    let mut redacted = redact::headers(&fields);
    assert!(redacted.len() >= count && redacted.len() == fields.len());
    redact::mask_digests(&mut redacted);
    for (name, value) in &redacted {
        assert!(!leaks(value.as_bytes()), "a secret is left in {name}: {value}");
    }
    count > 0
}

fn bytes<const N: usize>(seeds: [&str; N]) -> Vec<Vec<u8>> {
    seeds.map(|seed| seed.as_bytes().to_vec()).into()
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    bytes([
        r#"{"Credentials":{"AccessKeyId":"A","SecretAccessKey":"b","Expiration":1.5},"list":[{"a":[]},null,true]}"#,
        r#"[{"Name":"/prod/db/password","Type":"SecureString","Value":"v"},{"Value":5,"Name":"DB_PASSWORD"}]"#,
        r#"{"environment":"{\"Password\":\"x\\n\"}","\u0070assword":{"deep":["x",{"y":1}]},"SecretString":null}"#,
    ])
}

pub(crate) fn xml_seeds() -> Vec<Vec<u8>> {
    bytes([
        "<?xml version=\"1.0\"?><R xmlns:a=\"u\"><Credentials><SecretAccessKey>b</SecretAccessKey></Credentials><e/><!-- c --></R>",
        "<R><m><Name>DB_PASSWORD</Name><Value>v</Value></m><d><![CDATA[password: x]]></d><q password='y' b=\">\"/></R>",
        "<a:R><MasterUserPassword><b>x</b></MasterUserPassword>text &amp; more<Token>true</Token></a:R>",
    ])
}

pub(crate) fn form_seeds() -> Vec<Vec<u8>> {
    bytes([
        "Action=CreateUser&Version=1&Password=x%20y&Tags.member.1.Key=a&Tags.member.1.Value=b",
        "Parameters.member.1.ParameterValue=v&Parameters.member.1.ParameterKey=DBPassword&SAMLAssertion=PHNhbWw%2B",
        "X-Amz-Signature=0&X-Amz-Security-Token=IQo&sig=x&UserData=password%3A+x",
    ])
}

pub(crate) fn body_seeds() -> Vec<Vec<u8>> {
    bytes([
        "application/cbor\n\u{1}hpasswordax",
        "text/plain\n[default]\npassword: x",
        "text/plain|gzip\nabc",
        "\nToken=x",
        "application/json; charset=utf-8|aws-chunked\n\u{feff} {\"password\": \"x\"}",
    ])
}

pub(crate) fn headers_seeds() -> Vec<Vec<u8>> {
    bytes([
        "AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host\nx-amz-content-sha256: 00\netag: \"x\"\nx-amz-tagging: team=a&password=b\n\n",
        "https://user@b.s3.amazonaws.com/k#t\nreferer: https://x.example/#access_token=abc\nx-amz-meta-password: p\n\n",
    ])
}
