//! Credentials in JSON: the members of an object that has a secret access key, wherever that stands. STS writes names with a
//! capital and times in seconds, the SSO portal with a small letter and in milliseconds.

use super::{CannotRead, Finds, Form, Found};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// Values within each other: AWS's have four.
const DEPTH_MAX: usize = 16;

pub(super) fn find(text: &str) -> Result<Finds, CannotRead> {
    let mut found = Finds::default();
    // The bytes in front are no part of what is read, and count for the places.
    let json = text.trim_start_matches('\u{feff}');
    let whole: &RawValue = serde_json::from_str(json).map_err(|_| CannotRead::Malformed)?;
    look(&mut found, text, whole, 0)?;
    Ok(found)
}

fn look(found: &mut Finds, text: &str, value: &RawValue, depth: usize) -> Result<(), CannotRead> {
    let json = value.get();
    match json.as_bytes().first() {
        _ if depth > DEPTH_MAX => Err(CannotRead::Malformed),
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(json).map_err(|_| CannotRead::Malformed)?;
            for (name, value) in members.0 {
                take(found, text, &name, value)?;
                look(found, text, value, depth + 1)?;
            }
            Ok(())
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| CannotRead::Malformed)?;
            items.into_iter().try_for_each(|item| look(found, text, item, depth + 1))
        }
        _ => Ok(()),
    }
}

fn take(found: &mut Finds, text: &str, name: &str, value: &RawValue) -> Result<(), CannotRead> {
    let json = value.get();
    // A name in any spelling that a lenient client may take for it.
    match name.to_ascii_lowercase().as_str() {
        "accesskeyid" => found.access_key_id.push(string(text, json)?),
        "secretaccesskey" | "secretkey" => found.secret.push(string(text, json)?),
        "sessiontoken" => found.token.push(string(text, json)?),
        "expiration" => found.expiration.push(match json.starts_with('"') {
            true => (string(text, json)?, Form::Rfc3339),
            false => {
                let at = place(text, json)?;
                let form = if json.parse::<f64>().is_ok_and(|number| number > 1e11) { Form::Milliseconds } else { Form::Seconds };
                (Found { at: at..at + json.len(), value: json.to_owned() }, form)
            }
        }),
        "arn" => found.holder.extend(serde_json::from_str::<String>(json).ok()),
        _ => {}
    }
    Ok(())
}

/// A string, and where its inside stands.
fn string(text: &str, json: &str) -> Result<Found, CannotRead> {
    let value: String = serde_json::from_str(json).map_err(|_| CannotRead::Unclear)?;
    let at = place(text, json)?;
    Ok(Found { at: at + 1..at + json.len() - 1, value })
}

/// Where a piece of the text stands in it.
fn place(text: &str, piece: &str) -> Result<usize, CannotRead> {
    piece.as_ptr().addr().checked_sub(text.as_ptr().addr()).filter(|at| at + piece.len() <= text.len()).ok_or(CannotRead::Malformed)
}

/// The members of an object as they stand: a name that comes twice is there twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
