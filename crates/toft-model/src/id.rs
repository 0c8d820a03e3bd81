//! Names and identities: one type each, checked once, where they enter.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text was empty.
    #[error("a name has at least one character")]
    Empty,
    /// The text was longer than a DNS label may be (RFC 1035 §2.3.4).
    #[error("a name has at most 63 characters, this one has {0}")]
    TooLong(usize),
    /// The text does not start with a letter.
    #[error("a name starts with a letter a–z, not with `{0}`")]
    Start(char),
    /// A character that a name cannot have.
    #[error("a name is made of a–z, 0–9 and `-`, not of `{0}`")]
    Character(char),
    /// A name may not end in a hyphen.
    #[error("a name does not end in `-`")]
    End,
}

/// Checks that `text` can stand as one label of a host name: a–z, 0–9 and `-`, 1 to 63 characters.
///
/// The rule is RFC 1123 §2.1, narrowed to lower case and a letter in front, so that every name can
/// stand in a host name, a file name and an environment variable alike.
pub fn check_name(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if text.len() > 63 {
        return Err(NameError::TooLong(text.len()));
    }
    if let Some(bad) = text
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return Err(NameError::Character(bad));
    }
    if !first.is_ascii_lowercase() {
        return Err(NameError::Start(first));
    }
    if text.ends_with('-') {
        return Err(NameError::End);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                check_name(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of an app, unique on its site.
    AppName
}
name! {
    /// The name of a process of an app: `web`, `worker`.
    ProcessName
}
name! {
    /// The label of a door, unique in its app: `http`, `sql`.
    Label
}
name! {
    /// The name of a volume of an app: `uploads`.
    VolumeName
}
name! {
    /// The name of a schedule of an app: `digest`.
    ScheduleName
}

/// How often an instance's place was filled; a newer one is never confused with an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// One running copy: `guestbook/web.0`, in its generation.
///
/// A run (a build, a one-off command) has an instance's identity too, under the name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// Whose it is.
    pub app: AppName,
    /// Which of the app's processes it is a copy of, or the kind of run.
    pub process: ProcessName,
    /// Its place among the copies, from 0.
    pub index: u32,
    /// Which filling of that place.
    pub generation: Generation,
}

impl InstanceId {
    /// The name that people see: `web.0`.
    pub fn short(&self) -> String {
        format!("{}.{}", self.process, self.index)
    }
}

impl fmt::Display for InstanceId {
    /// `guestbook/web.0#3`, also a valid file name once `/` is replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}.{}#{}",
            self.app, self.process, self.index, self.generation.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "guestbook", "a-b", "x1", &"a".repeat(63)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        assert_eq!(check_name(""), Err(NameError::Empty));
        assert_eq!(check_name("1a"), Err(NameError::Start('1')));
        assert_eq!(check_name("A"), Err(NameError::Character('A')));
        assert_eq!(check_name("a_b"), Err(NameError::Character('_')));
        assert_eq!(check_name("a-"), Err(NameError::End));
        assert_eq!(check_name(&"a".repeat(64)), Err(NameError::TooLong(64)));
    }

    #[test]
    fn a_name_is_checked_on_the_wire_too() {
        assert!(serde_json::from_str::<AppName>("\"../x\"").is_err());
        assert!(serde_json::from_str::<AppName>("\"shop\"").is_ok());
    }
}
