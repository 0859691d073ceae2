//! Whose key the verifier is given.

use super::{
    table::{Case, Tampering, always, line, two},
    world::{Holds, World},
};
use sealgate_schema::{
    log::{Event, KeyAction, origin},
    note::SigningKey,
    verify::Level::L3,
};

const KEY: [Case; 1] = [two(Holds::Nothing, L3)];

pub(super) fn tamperings() -> Vec<Tampering> {
    let given = |world: &mut World, key: SigningKey| {
        let own = format!("{}+", origin(&world.gateways[0].name));
        world.keys.retain(|key| !key.starts_with(&own));
        world.keys.push(key.verifier().to_string());
    };
    vec![
        always("the key given is of this gateway's name, and not its own", &KEY, move |world| {
            given(world, SigningKey::from_seed(&origin(&world.gateways[0].name), &[70; 32]).unwrap());
        }),
        always("the key given is another gateway's", &KEY, move |world| {
            given(world, SigningKey::from_seed("sealgate/gw-c", &[70; 32]).unwrap());
        }),
        line("the key given is of one of two gateways", &KEY, |world| {
            let own = format!("{}+", origin(&world.gateways[0].name));
            let before = world.keys.len();
            world.keys.retain(|key| !key.starts_with(&own));
            world.keys.len() < before && !world.keys.is_empty()
        }),
        line("the key given was revoked from before it handed over", &[two(Holds::IdentityKey, L3)], move |world| {
            let first = SigningKey::from_seed(&origin("gw-a"), &[1; 32]).unwrap();
            let key = first.verifier().to_string();
            world.gateway().append(Event::Key { action: KeyAction::Revoke, key, from: 5, reason: "stolen".into() });
            given(world, first);
            true
        }),
    ]
}
