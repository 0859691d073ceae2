//! Claims about bodies and query strings, and that no planted secret survives.

use super::*;
use proptest::prelude::*;

fn text(body: Body) -> String {
    match body {
        Body::Clean => "clean".into(),
        Body::Masked(masked) => String::from_utf8(masked).unwrap(),
        Body::Omit => "omit".into(),
    }
}

fn masks(input: &str, expected: &str) {
    assert_eq!(text(body(input.as_bytes(), true, None, None)), expected, "{input}");
}

fn masks_cut(input: &str, expected: &str) {
    assert_eq!(text(body(input.as_bytes(), false, None, None)), expected, "{input}");
}

#[test]
fn json_is_masked_by_key() {
    masks(r#"{"SecretAccessKey":"wJal\"rX","a":1}"#, r#"{"SecretAccessKey":"REDACTED","a":1}"#);
    masks(r#"{ "a" : [ { "password" : "x" } ] }"#, r#"{ "a" : [ { "password" : "REDACTED" } ] }"#);
    masks(r#"{"Password":12.5e3,"b":2}"#, r#"{"Password":"REDACTED","b":2}"#);
    masks(r#"{"Password":{"S":"x","n":["}"]},"b":2}"#, r#"{"Password":"REDACTED","b":2}"#);
    masks(r#"{"Password":["x","y"]}"#, r#"{"Password":"REDACTED"}"#);
    masks(r#"{"Password":"","Plaintext":null,"ManageMasterUserPassword":true}"#, "clean");
    masks(r#"{"P\u0061ssword":"x"}"#, r#"{"P\u0061ssword":"REDACTED"}"#);
    masks(r#"{"NextToken":"abc","ClientToken":"d","Action":"sts:GetSessionToken"}"#, "clean");
    masks(r#"{"Secret":"arn:aws:secretsmanager:us-east-1:123456789012:secret:a"}"#, "clean");
    masks("{\"a\":\"b\"}\n{\"Token\":\"x\"}\n", "{\"a\":\"b\"}\n{\"Token\":\"REDACTED\"}\n");
}

#[test]
fn json_is_masked_by_a_sibling_that_names_the_key() {
    masks(
        r#"[{"name":"DB_PASSWORD","value":"x"},{"name":"A","value":"y"}]"#,
        r#"[{"name":"DB_PASSWORD","value":"REDACTED"},{"name":"A","value":"y"}]"#,
    );
    masks(r#"{"Value":"x","Name":"/prod/db/password"}"#, r#"{"Value":"REDACTED","Name":"/prod/db/password"}"#);
    masks(
        r#"{"Name":"/prod/dsn","Value":"x","Type":"SecureString"}"#,
        r#"{"Name":"/prod/dsn","Value":"REDACTED","Type":"SecureString"}"#,
    );
    masks(r#"{"Name":"token","Value":{"S":["x"]}}"#, r#"{"Name":"token","Value":"REDACTED"}"#);
    masks(r#"{"Key":"password-rotation","Value":"30 days"}"#, "clean");
}

#[test]
fn a_string_that_holds_a_document_with_a_secret_is_masked_whole() {
    masks(r#"{"MessageBody":"{\"Password\":\"x\"}","b":1}"#, r#"{"MessageBody":"REDACTED","b":1}"#);
    masks(r#"{"Location":"https://b/?X-Amz-Signature=abc"}"#, r#"{"Location":"REDACTED"}"#);
    masks(r#"{"commands":["mysql --password hunter2"]}"#, r#"{"commands":["REDACTED"]}"#);
    masks(r#"{"a":"x: y\ntoken: z"}"#, r#"{"a":"REDACTED"}"#);
    masks(r#"{"a":"https://b/?c=d\u0026token=z"}"#, r#"{"a":"REDACTED"}"#);
    masks(r#"{"private key":"z"}"#, r#"{"private key":"REDACTED"}"#);
    masks(r#"{"Logins":{"x":"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"}}"#, r#"{"Logins":{"x":"REDACTED"}}"#);
    masks(r#"{"a":"-----BEGIN PRIVATE KEY-----\nMIIE"}"#, r#"{"a":"REDACTED"}"#);
}

#[test]
fn xml_is_masked_by_element_attribute_and_text() {
    masks("<A><SecretAccessKey>x&amp;y</SecretAccessKey><B/></A>", "<A><SecretAccessKey>REDACTED</SecretAccessKey><B/></A>");
    masks("<s:SessionToken a='>'>x<!-- y --></s:SessionToken>", "<s:SessionToken a='>'>REDACTED</s:SessionToken>");
    masks("<Password><Password>x</Password></Password>", "<Password>REDACTED</Password>");
    masks("<a Password=\"x\" b='y'/>", "<a Password=\"REDACTED\" b='y'/>");
    masks("<a>&lt;pre_shared_key&gt;x&lt;/pre_shared_key&gt;</a>", "<a>REDACTED</a>");
    masks("<a><![CDATA[{\"Password\":\"x\"}]]></a>", "<a><![CDATA[REDACTED]]></a>");
    masks("<Password/><Password></Password><AllowUsersToChangePassword>true</AllowUsersToChangePassword>", "clean");
    masks(
        "<m><OptionName>DB_PASSWORD</OptionName><Value>x</Value></m>",
        "<m><OptionName>DB_PASSWORD</OptionName><Value>REDACTED</Value></m>",
    );
    masks("<!DOCTYPE a [<!ENTITY e 'x'>]><Password>&e;</Password>", "omit");
    masks("<a password=hunter2/>", "omit");
    masks("<a password=hunter2 b='c'/>", "omit");
    masks("<a><!-- password: hunter2 --></a>", "omit");
    masks("<?a password=hunter2?><a></a password=hunter2>", "omit");
    masks_cut("<X&Password=hunter2", "omit");
}

#[test]
fn forms_are_masked_by_name() {
    masks("Action=CreateUser&Password=x%26y&UserName=a", "Action=CreateUser&Password=REDACTED&UserName=a");
    masks("Action=A&%50assword=x&LoginProfile.Password=y", "Action=A&%50assword=REDACTED&LoginProfile.Password=REDACTED");
    masks(
        "Parameters.member.1.ParameterValue=x&Parameters.member.1.ParameterKey=DbPassword&Parameters.member.2.ParameterValue=y",
        "Parameters.member.1.ParameterValue=REDACTED&Parameters.member.1.ParameterKey=DbPassword&Parameters.member.2.ParameterValue=y",
    );
    masks("Action=A&TemplateBody=%7B%22Password%22%3A%22x%22%7D", "Action=A&TemplateBody=REDACTED");
    masks("Action=A&TemplateBody=Password%3A+x", "Action=A&TemplateBody=REDACTED");
    masks("Action=A&UserData=a%3Ab%0Atoken%3Ac", "Action=A&UserData=REDACTED");
    masks("Action=GetSessionToken&NextToken=x&ClientToken=y", "clean");
}

#[test]
fn a_query_keeps_all_but_its_secrets() {
    let masked = "X-Amz-Credential=A%2F2&X-Amz-Signature=REDACTED&x-amz-security-token=REDACTED&versionId&a=";
    assert_eq!(query("X-Amz-Credential=A%2F2&X-Amz-Signature=ab&x-amz-security-token=I%2B&versionId&a="), masked);
    assert_eq!(query("AWSAccessKeyId=A&Signature=a%3D&Expires=1"), "AWSAccessKeyId=A&Signature=REDACTED&Expires=1");
    assert_eq!(query("X%2DAmz%2DS3session-Token=x&command=--token%20y"), "X%2DAmz%2DS3session-Token=REDACTED&command=REDACTED");
    for same in ["", "&", "=", "list-type=2&prefix=a%20b", "acl", "&&a==b", "a=%zz"] {
        assert!(matches!(query(same), Cow::Borrowed(_)), "{same}");
    }
}

#[test]
fn a_truncated_body_is_masked_to_its_end() {
    masks_cut(r#"{"a":1,"SecretString":"abc"#, r#"{"a":1,"SecretString":"REDACTED"#.trim_end());
    masks_cut(r#"{"SecretString":"abc\"#, r#"{"SecretString":"REDACTED"#);
    masks_cut(r#"{"Password":{"a":"b"#, r#"{"Password":"REDACTED""#);
    masks_cut(r#"[{"Value":"x","Name":"password""#, r#"[{"Value":"REDACTED","Name":"password""#);
    masks_cut(r#"[{"Name":"password","Value":{"S":"x"#, r#"[{"Name":"password","Value":"REDACTED""#);
    masks_cut(r#"{"Password":"x","#, r#"{"Password":"REDACTED","#);
    masks_cut("<A><Password>abc", "<A><Password>REDACTED");
    masks_cut("<A><Password>x</Password><B a=\"", "<A><Password>REDACTED</Password><B a=\"");
    masks_cut("a=b&Password=ab%2", "a=b&Password=REDACTED");
    for cut in [r#"{"Password":"abc"#, r#"{"Password":"x""#, "<A><Password>abc", "<A Password='x"] {
        masks(cut, "omit");
    }
}

#[test]
fn what_cannot_be_masked_with_certainty_is_left_out() {
    let check = |bytes: &[u8], kind, encoding, expected| assert_eq!(text(body(bytes, true, kind, encoding)), expected);
    check(b"\x1f\x8b\x08", Some("application/json"), Some("gzip"), "omit");
    check(b"\x1f\x8b\x08", None, Some("gzip"), "omit");
    check(b"\x1f\x8b\x08", Some("image/png"), Some("gzip"), "clean");
    check(b"{}", Some("application/json"), Some("identity"), "clean");
    check(b"data", Some("binary/octet-stream"), Some("aws-chunked"), "clean");
    check(b"\xa1\x68Passwordhhunter22", Some("application/cbor"), None, "omit");
    check(b"\xa1\x69NextTokenc1234", Some("application/cbor"), None, "clean");
    check(b"\x00\x01SecretAccessKey\x00x", Some("application/octet-stream"), None, "omit");
    check(b"\x89PNG\x00\x01", Some("application/octet-stream"), None, "clean");
    check(b"--b\r\nname=\"X-Amz-Security-Token\"\r\n\r\nx", Some("multipart/form-data"), None, "omit");
    check(b"{'Password':'x'}", None, None, "omit");
    // They begin like JSON and are none: INI and YAML.
    check(b"[default]\npassword: hunter2", Some("text/plain"), None, "omit");
    check(b"{db.password: hunter2}", None, None, "omit");
    check(b"{\"Password\": correct horse}", None, None, "omit");
    check(format!("{}\"Password\":1", "[".repeat(1000)).as_bytes(), None, None, "omit");
}

const KEYS: [&str; 8] = [
    "SecretAccessKey",
    "sessionToken",
    "Password",
    "MASTER_USER_PASSWORD",
    "clientSecret",
    "Plaintext",
    "KeyMaterial",
    "access_token",
];

fn innocent() -> impl Strategy<Value = serde_json::Value> {
    let leaf =
        prop_oneof![any::<i64>().prop_map(Into::into), "\\PC{0,12}".prop_map(Into::into), any::<bool>().prop_map(Into::into)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[A-Za-z\"\\\\é]{1,8}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts `{key: secret}` at the end of a random walk into the value.
fn plant(value: &mut serde_json::Value, steps: &[usize], planted: serde_json::Value) {
    match (value, steps.split_first()) {
        (serde_json::Value::Array(items), Some((step, rest))) if !items.is_empty() => {
            let place = step % items.len();
            plant(&mut items[place], rest, planted);
        }
        (serde_json::Value::Object(map), Some((step, rest))) if !map.is_empty() => {
            let place = step % map.len();
            plant(map.values_mut().nth(place).unwrap(), rest, planted);
        }
        (place, _) => *place = planted,
    }
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

proptest! {
    #[test]
    fn no_secret_survives_in_json(
        mut value in innocent(), steps in prop::collection::vec(0usize..8, 0..4), key in 0..KEYS.len(),
        secret in "zQ7zQ7[a-zA-Z0-9\"\\\\/é ]{8,24}", nested in any::<bool>(), pretty in any::<bool>(), cut in any::<prop::sample::Index>(),
    ) {
        let secret_value = if nested { serde_json::json!({ "S": [&secret] }) } else { secret.clone().into() };
        plant(&mut value, &steps, serde_json::json!({ KEYS[key]: secret_value, "b": 1 }));
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        match body(text.as_bytes(), true, Some("application/x-amz-json-1.1"), None) {
            Body::Masked(masked) => {
                prop_assert!(!holds(&masked, "zQ7zQ7"));
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&masked).is_ok());
                prop_assert_eq!(body(&masked, true, None, None), Body::Masked(masked.clone()));
            }
            other => prop_assert!(false, "{:?} of {}", other, text),
        }
        let cut = cut.index(text.len());
        match body(&text.as_bytes()[..cut], false, None, None) {
            Body::Clean => prop_assert!(!holds(&text.as_bytes()[..cut], "zQ7zQ7")),
            Body::Masked(masked) => prop_assert!(!holds(&masked, "zQ7zQ7")),
            Body::Omit => {}
        }
    }

    #[test]
    fn no_secret_survives_in_xml_and_forms(
        key in 0..KEYS.len(), secret in "zQ7zQ7[a-zA-Z0-9/+ ]{8,24}", before in "[a-z<>&;]{0,8}", cut in any::<prop::sample::Index>(),
    ) {
        let escaped = before.replace('&', "&amp;").replace('<', "&lt;");
        let xml = format!("<r><a b=\"{escaped}\">{escaped}</a><n:{0} x=\"1\">{secret}</n:{0}><c/></r>", KEYS[key]);
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let form = format!("Action=A&b={}&P.member.1.{}={}&c=d", encode(&before), KEYS[key], encode(&secret));
        for text in [xml, form] {
            let Body::Masked(masked) = body(text.as_bytes(), true, None, None) else { return Err(TestCaseError::fail(text)) };
            prop_assert!(!holds(&masked, "zQ7zQ7"));
            let cut = &text.as_bytes()[..cut.index(text.len())];
            match body(cut, false, None, None) {
                Body::Clean => prop_assert!(!holds(cut, "zQ7zQ7"), "{}", text),
                Body::Masked(masked) => prop_assert!(!holds(&masked, "zQ7zQ7")),
                Body::Omit => {}
            }
        }
    }

    #[test]
    fn no_secret_survives_in_bytes_of_no_known_syntax(
        key in 0..KEYS.len(), before in prop::collection::vec(any::<u8>(), 0..40), after in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = [b"\xa1".as_slice(), &before, KEYS[key].as_bytes(), b"hzQzQzQzQ", &after].concat();
        prop_assert_eq!(body(&bytes, true, Some("application/cbor"), None), Body::Omit);
    }

    #[test]
    fn hostile_bytes_never_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]<>/\"\\:,=&%u0045'!-".to_vec())], 0..200),
        complete in any::<bool>(), place in 0usize..200, kind in prop::option::of("\\PC{0,20}"), encoding in prop::option::of("\\PC{0,8}"),
    ) {
        let mut bytes = bytes;
        bytes.splice(place.min(bytes.len())..place.min(bytes.len()), b"\"Password\"".iter().copied());
        let _ = body(&bytes, complete, kind.as_deref(), encoding.as_deref());
        for start in [b'{', b'<', b'a'] {
            bytes.insert(0, start);
            let _ = body(&bytes, complete, None, None);
        }
        let _ = query(&String::from_utf8_lossy(&bytes));
    }
}
