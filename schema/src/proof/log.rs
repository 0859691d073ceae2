//! The windows log as a bundle shows it: single entries with proofs, and the keys that sign its checkpoint.
//!
//! The entries between those shown are not seen. What they could say against those shown (a later key of the window, a
//! revocation) rests on the signer of the checkpoint, and on whoever kept one.

use super::{Bundle, OlderPart};
use crate::{
    log::{Entry, Event, origin},
    merkle::{is_consistent, is_included, leaf_hash},
    note::{self, Checkpoint},
    verify::{Asked, ENTRIES_MAX},
    windows::{Heads, Identity, Windows},
};

/// Where in the log's part something does not hold, and what.
pub(super) type LogFault = (String, String);

fn fault(place: &str, what: impl Into<String>) -> LogFault {
    (place.to_owned(), what.into())
}

/// What the log's part of a bundle says.
pub(super) struct Logged {
    /// The checkpoint that every proof leads to.
    pub(super) checkpoint: Checkpoint,
    /// What the entries shown say in sum.
    pub(super) windows: Windows,
    /// The key that signed the checkpoint.
    pub(super) identity: Identity,
    /// Whether the caller's pins were compared.
    pub(super) pinned: bool,
}

/// The log's part of a bundle: entries, keys, checkpoint, pins.
pub(super) fn check(bundle: &Bundle, asked: &Asked) -> Result<Logged, LogFault> {
    let place = "checkpoint";
    let checkpoint = parse(&bundle.log.checkpoint).map_err(|what| fault(place, what))?;
    if checkpoint.origin != origin(&bundle.gateway) || checkpoint.size > ENTRIES_MAX {
        return Err(fault(place, "it is of another log, or has more entries than a log has"));
    }
    let windows = entries(bundle, &checkpoint)?;
    let identity = windows.identity_at(checkpoint.size).cloned().ok_or_else(|| fault(place, "no entry names its key"))?;
    let first = bundle.log.checkpoint.lines().find(|line| line.starts_with('\u{2014}')).unwrap_or_default();
    if !first.starts_with(&format!("\u{2014} {} ", identity.key.name())) {
        return Err(fault(place, "its first signature is not the gateway's"));
    }
    note::open(&bundle.log.checkpoint, &identity.key).map_err(|error| fault(place, error.to_string()))?;
    let known = handovers(bundle, &checkpoint, windows.identities())?;
    trusted(windows.identities(), asked, &bundle.gateway)?;
    let pinned = pins(bundle, asked, &checkpoint, &windows, known)?;
    Ok(Logged { checkpoint, windows, identity, pinned })
}

/// A checkpoint of a log, whoever signed it.
pub(super) fn parse(note: &str) -> Result<Checkpoint, String> {
    let checkpoint = note::text(note).and_then(Checkpoint::parse).map_err(|error| error.to_string())?;
    if checkpoint.extensions.is_empty() { Ok(checkpoint) } else { Err("a checkpoint of a log has three lines".to_owned()) }
}

/// Takes in the entries that are shown; those between them are passed over.
fn entries(bundle: &Bundle, checkpoint: &Checkpoint) -> Result<Windows, LogFault> {
    let mut windows = Windows::new(&bundle.gateway, Heads::All);
    for part in &bundle.log.entries {
        let place = format!("entry {}", part.index);
        let fault = |what: &str| fault(&place, what);
        let leaf = leaf_hash(part.entry.as_bytes());
        if !is_included(leaf, part.index, checkpoint.size, &part.proof, &checkpoint.root) {
            return Err(fault("its proof does not lead to the root of the checkpoint"));
        }
        if part.index < windows.size() {
            return Err(fault("entries stand in order, each once"));
        }
        let entry = Entry::decode(part.entry.as_bytes()).map_err(|error| fault(&error.to_string()))?;
        let wanted = match &entry.event {
            Event::Key { .. } => true,
            Event::Open { window, .. } | Event::Head { window, .. } | Event::Seal { window, .. } => *window == bundle.window,
            _ => false,
        };
        if !wanted {
            return Err(fault("it is not about this record's keys and window"));
        }
        while windows.size() < part.index {
            windows.skip();
        }
        windows.take(&entry).map_err(fault)?;
    }
    Ok(windows)
}

/// Each identity key but the first was adopted by the one before it, in this log. Returns the checkpoints that this log has.
fn handovers(bundle: &Bundle, to: &Checkpoint, identities: &[Identity]) -> Result<Vec<Checkpoint>, LogFault> {
    let mut known = Vec::new();
    let shown = &bundle.log.handovers;
    for (pair, part) in identities.windows(2).zip(shown) {
        let [before, adopted] = pair else { continue };
        let fault = |what: String| fault(&format!("handover {}", adopted.from), what);
        let older = goes_on(part, to).map_err(fault)?;
        note::open_exactly(&part.note, &[&before.key, &adopted.key]).map_err(|error| fault(error.to_string()))?;
        if older.size != adopted.from {
            return Err(fault("it does not end with the new key's entry".to_owned()));
        }
        known.push(older);
    }
    if shown.len() + 1 != identities.len() {
        return Err(fault("handovers", "each identity key but the first has one"));
    }
    Ok(known)
}

/// An older checkpoint that this log goes on from.
fn goes_on(part: &OlderPart, to: &Checkpoint) -> Result<Checkpoint, String> {
    let older = parse(&part.note)?;
    let goes_on = older.origin == to.origin && is_consistent(older.size, &older.root, to.size, &to.root, &part.proof);
    if goes_on { Ok(older) } else { Err("its proof does not lead from it to the checkpoint".to_owned()) }
}

/// The caller's key is one of the log's, and was not revoked before it handed over.
fn trusted(identities: &[Identity], asked: &Asked, gateway: &str) -> Result<(), LogFault> {
    let place = "checkpoint";
    let Some(trusted) = identities.iter().rposition(|identity| asked.keys.contains(&identity.key)) else {
        let own = asked.keys.iter().any(|key| key.name() == origin(gateway));
        let what = match own {
            true => "the key given is none that this bundle knows: where it is newer than the bundle, make the bundle again",
            false => "no key was given for this gateway",
        };
        return Err(fault(place, what));
    };
    let next = identities.get(trusted + 1).map(|next| next.from);
    let revoked = identities.get(trusted).and_then(|identity| identity.revoked);
    match (next, revoked) {
        (Some(next), Some(revoked)) if revoked < next => Err(fault(
            place,
            "the key given was revoked before it handed over to the next: get the gateway's new key from its operator",
        )),
        _ => Ok(()),
    }
}

/// Compares the checkpoints that the caller kept, as far as the bundle lets it: true where all were, and there was one.
fn pins(
    bundle: &Bundle,
    asked: &Asked,
    checkpoint: &Checkpoint,
    windows: &Windows,
    mut known: Vec<Checkpoint>,
) -> Result<bool, LogFault> {
    let place = "the pinned checkpoint";
    let signed = |note: &str, size: u64| {
        let identity = windows.identity_at(size);
        let counts = identity.is_some_and(|identity| {
            note::open(note, &identity.key).is_ok() && identity.revoked.is_none_or(|revoked| size <= revoked)
        });
        if counts { Ok(()) } else { Err(fault(place, "it is not signed by the identity key of its size, or that was revoked")) }
    };
    if let Some(part) = &bundle.log.pin {
        let older = goes_on(part, checkpoint).map_err(|what| fault(place, what))?;
        signed(&part.note, older.size)?;
        known.push(older);
    }
    known.push(checkpoint.clone());
    let mut compared = 0;
    for pin in &asked.pins {
        let kept = parse(pin).map_err(|what| fault(place, what))?;
        let Some(same) = known.iter().find(|known| known.size == kept.size && known.origin == kept.origin) else { continue };
        if same.root != kept.root {
            return Err(fault(place, "the log of this bundle does not go on from it: it is another one"));
        }
        signed(pin, kept.size)?;
        compared += 1;
    }
    Ok(compared > 0 && compared == asked.pins.len())
}
