//! Who is at the other end of the admin socket: a user id, and the name that this machine knows it by.
//!
//! The name is read from `/etc/passwd`. Users that only a directory service knows stay numbers; nobody's name is guessed.

use sealgate_schema::Text;

/// Who does an administrative act.
#[derive(Debug, Clone)]
pub struct Actor {
    word: Text,
    user: Option<Text>,
}

impl Actor {
    /// A user of this machine.
    pub fn of_uid(uid: u32) -> Self {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        match name_of(&users, uid) {
            Some(name) => Self { word: format!("uid {uid} ({name})").into(), user: Some(name.to_owned().into()) },
            None => Self { word: format!("uid {uid}").into(), user: None },
        }
    }

    /// Somebody of whom only this word is known.
    pub fn known_as(word: &str) -> Self {
        Self { word: word.to_owned().into(), user: None }
    }

    /// As records say it: `uid 1000 (alice)`.
    pub fn word(&self) -> &Text {
        &self.word
    }

    /// Name of the user.
    pub fn user(&self) -> Option<&Text> {
        self.user.as_ref()
    }
}

fn name_of(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_user_is_called_as_the_machine_says() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\nx:y:z\n";
        for (uid, name) in [(0, Some("root")), (1000, Some("alice")), (1, None)] {
            assert_eq!(name_of(users, uid), name);
        }
    }
}
