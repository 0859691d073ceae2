use super::{CannotRead, Kind, Substitute, issues, read, replace};
use crate::naming::aws;
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

const XML: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\n<Credentials>\
    <AccessKeyId>ASIAREAL</AccessKeyId><SecretAccessKey>real/secret+</SecretAccessKey><SessionToken> real== </SessionToken>\
    <Expiration>2026-11-26T12:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>\
    </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
const JSON: &str = "{\"AssumeRoleResponse\": {\"AssumeRoleResult\":{\"Credentials\":{\"AccessKeyId\":\"ASIAREAL\",\
    \"SecretAccessKey\":\"real\\/secret+\",\"SessionToken\":\"real==\",\"Expiration\":1.7957088E9},\
    \"AssumedRoleUser\":{\"Arn\":\"arn:aws:sts::1:assumed-role/r/s\"}}}}";
const PORTAL: &str = "{\"roleCredentials\":{\"accessKeyId\":\"ASIAREAL\",\"secretAccessKey\":\"real/secret+\",\
    \"sessionToken\":\"real==\",\"expiration\":1795708800000}}";

const NOON: i64 = 1_795_694_400_000_000;

fn substitute(expires: Option<i64>) -> Substitute<'static> {
    Substitute { access_key_id: "ASIAOTHER", secret: "other", token: "token_-", expires }
}

#[test]
fn the_credential_is_found_in_each_form_and_nothing_else_of_the_answer_changes() {
    for (form, body) in [("xml", XML), ("json", JSON), ("portal", PORTAL)] {
        let issued = read(Kind::AssumeRole, None, body.as_bytes()).unwrap().unwrap();
        assert_eq!((issued.access_key_id(), issued.secret(), issued.token()), ("ASIAREAL", "real/secret+", "real=="), "{form}");
        assert!(issued.expires().is_some());
        let replaced = String::from_utf8(replace(body.as_bytes(), &issued, &substitute(None))).unwrap();
        let by_hand = body.replace("ASIAREAL", "ASIAOTHER").replace("real/secret+", "other").replace("real\\/secret+", "other");
        assert_eq!(replaced, by_hand.replace("real==", "token_-"), "{form}");
        assert!(!format!("{issued:?}").contains("real"), "{issued:?}");
    }
    assert_eq!(read(Kind::AssumeRole, None, XML.as_bytes()).unwrap().unwrap().holder().unwrap(), "arn:aws:sts::1:assumed-role/r/s");
}

#[test]
fn a_time_is_written_as_it_came_and_only_where_the_other_credential_ends_before() {
    let changed = |body: &str, expires| {
        let issued = read(Kind::AssumeRole, None, body.as_bytes()).unwrap().unwrap();
        String::from_utf8(replace(body.as_bytes(), &issued, &substitute(Some(expires)))).unwrap()
    };
    assert!(changed(XML, NOON - 1).contains("<Expiration>2026-11-26T11:59:59Z</Expiration>"), "{}", changed(XML, NOON - 1));
    assert!(changed(XML, NOON + 1).contains("<Expiration>2026-11-26T12:00:00Z</Expiration>"));
    assert!(changed(JSON, NOON).contains("\"Expiration\":1795694400}"));
    assert!(changed(PORTAL, NOON).contains("\"expiration\":1795694400000}"));
}

#[test]
fn what_is_not_clearly_one_credential_is_an_error() {
    let cases = [
        (String::new(), CannotRead::Malformed),
        ("<a/>".to_owned(), CannotRead::Missing),
        ("{}".to_owned(), CannotRead::Missing),
        ("{\"Credentials\":".to_owned(), CannotRead::Malformed),
        (XML.replace("<AccessKeyId>ASIAREAL</AccessKeyId>", ""), CannotRead::Unclear),
        (XML.replace("<AccessKeyId>", "<AccessKeyId>X</AccessKeyId><AccessKeyId>"), CannotRead::Unclear),
        (XML.replace("real/secret+", "real&amp;secret"), CannotRead::Unclear),
        (XML.replace("real/secret+", "<![CDATA[real]]>"), CannotRead::Unclear),
        (XML.replace("2026-11-26T", "tomorrow "), CannotRead::Expiration),
        (XML.replace("</AssumeRoleResponse>", ""), CannotRead::Malformed),
        (format!("<!DOCTYPE a>{XML}"), CannotRead::Malformed),
        (JSON.replace("\"SessionToken\"", "\"sessionToken\":\"x\",\"SessionToken\""), CannotRead::Unclear),
        (JSON.replace("\"SessionToken\"", "\"SessionToken\":\"x\",\"SessionToken\""), CannotRead::Unclear),
        (JSON.replace("\"real==\"", "7"), CannotRead::Unclear),
    ];
    for (body, why) in cases {
        assert_eq!(read(Kind::AssumeRole, None, body.as_bytes()).unwrap_err(), why, "{body}");
    }
    assert_eq!(read(Kind::AssumeRole, Some("gzip"), XML.as_bytes()).unwrap_err(), CannotRead::Compressed);
    assert!(read(Kind::AssumeRole, Some("identity"), XML.as_bytes()).unwrap().is_some());
}

#[test]
fn an_unknown_operation_need_not_hand_out_a_credential() {
    for body in ["", "<a/>", "{}"] {
        assert!(read(Kind::Other, None, body.as_bytes()).unwrap().is_none(), "{body}");
    }
    assert!(read(Kind::Other, None, XML.as_bytes()).unwrap().is_some());
}

#[test]
fn each_call_that_gets_a_credential_is_known_as_one() {
    let named = |host: &str, path: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let body = Some(body.as_bytes());
        let request = aws::Request { method: &method, host, path, query, headers: &headers, body, body_complete: true };
        issues(&aws::interpret(&request), host, path)
    };
    let host = "sts.eu-west-1.amazonaws.com";
    for kind in Kind::STS {
        assert_eq!(named(host, "/", &format!("Action={}&Version=2011-06-15", kind.as_str())), Some(kind));
        assert_eq!(named(host, &format!("/?Action={}&Version=2011-06-15", kind.as_str()), ""), Some(kind));
    }
    assert_eq!(named(host, "/", "Action=GetDelegatedAccessToken&Version=2011-06-15"), Some(Kind::Other));
    assert_eq!(named(host, "/", "Action=GetCallerIdentity&Version=2011-06-15"), None);
    assert_eq!(named("iam.amazonaws.com", "/", "Action=GetRole&Version=2010-05-08"), None);
    let portal = "portal.sso.eu-west-1.amazonaws.com";
    assert_eq!(named(portal, "/federation/credentials?role_name=r&account_id=1", ""), Some(Kind::GetRoleCredentials));
    assert_eq!(named(portal, "/assignment/accounts", ""), None);
}

proptest! {
    #[test]
    fn no_answer_stops_the_reading(body in ".{0,400}") {
        for kind in [Kind::AssumeRole, Kind::Other] {
            drop(read(kind, None, body.as_bytes()));
        }
    }

    #[test]
    fn a_read_answer_no_longer_has_the_real_credential_once_it_is_replaced(
        secret in "[A-Za-z0-9/+]{40}", token in "[A-Za-z0-9/+=]{50,200}", json in any::<bool>()
    ) {
        let (secret, token) = (format!("Q{secret}"), format!("Q{token}"));
        let body = if json { JSON.replace("real\\/secret+", &secret) } else { XML.replace("real/secret+", &secret) };
        let body = body.replace("real==", &token);
        let issued = read(Kind::AssumeRole, None, body.as_bytes()).unwrap().unwrap();
        let replaced = String::from_utf8(replace(body.as_bytes(), &issued, &substitute(None))).unwrap();
        prop_assert!(!replaced.contains(&secret) && !replaced.contains(&token));
        let again = read(Kind::AssumeRole, None, replaced.as_bytes()).unwrap().unwrap();
        prop_assert_eq!((again.access_key_id(), again.secret(), again.token()), ("ASIAOTHER", "other", "token_-"));
    }
}
