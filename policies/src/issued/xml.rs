//! Credentials in XML: the children of a `Credentials` element, wherever that stands.

use super::{CannotRead, Finds, Form, Found};
use quick_xml::{Reader, events::Event};

/// Elements within each other: AWS's have five.
const DEPTH_MAX: usize = 32;

pub(super) fn find(text: &str) -> Result<Finds, CannotRead> {
    let (mut reader, mut found) = (Reader::from_str(text), Finds::default());
    let mut path: Vec<String> = Vec::new();
    loop {
        let start = position(&reader)?;
        match reader.read_event().map_err(|_| CannotRead::Malformed)? {
            Event::Start(element) => {
                path.push(element.local_name().into_inner().to_owned());
                if path.len() > DEPTH_MAX {
                    return Err(CannotRead::Malformed);
                }
            }
            Event::End(_) => drop(path.pop()),
            Event::Text(_) => take(&mut found, &path, text, start..position(&reader)?)?,
            // A value in pieces is not AWS's way, and would be put together by the client.
            Event::CData(_) | Event::GeneralRef(_) if is_wanted(&path) => return Err(CannotRead::Unclear),
            // Entities of its own could say anything.
            Event::DocType(_) => return Err(CannotRead::Malformed),
            Event::Eof if path.is_empty() => return Ok(found),
            Event::Eof => return Err(CannotRead::Malformed),
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> Result<usize, CannotRead> {
    usize::try_from(reader.buffer_position()).map_err(|_| CannotRead::Malformed)
}

fn is_wanted(path: &[String]) -> bool {
    matches!(path, [.., parent, name] if parent == "Credentials" && NAMES.contains(&name.as_str()))
}

const NAMES: [&str; 4] = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"];

fn take(found: &mut Finds, path: &[String], text: &str, at: std::ops::Range<usize>) -> Result<(), CannotRead> {
    let [.., parent, name] = path else { return Ok(()) };
    let whole = text.get(at.clone()).ok_or(CannotRead::Malformed)?;
    let value = whole.trim();
    let start = at.start + (whole.len() - whole.trim_start().len());
    let one = || Found { at: start..start + value.len(), value: value.to_owned() };
    match (parent.as_str(), name.as_str()) {
        _ if value.is_empty() => {}
        ("Credentials", "AccessKeyId") => found.access_key_id.push(one()),
        ("Credentials", "SecretAccessKey") => found.secret.push(one()),
        ("Credentials", "SessionToken") => found.token.push(one()),
        ("Credentials", "Expiration") => found.expiration.push((one(), Form::Rfc3339)),
        ("AssumedRoleUser" | "FederatedUser", "Arn") => found.holder.push(value.to_owned()),
        _ => {}
    }
    Ok(())
}
