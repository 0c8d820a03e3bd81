//! What woke the loop, as the number that the poll set carries.

use toft_model::message::Role;

/// A source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// `up` says something, or is gone.
    Lifeline,
    /// A signal came.
    Signals,
    /// The spawner answers.
    Spawner,
    /// The spawner ended.
    SpawnerEnd,
    /// The logger answers.
    Logger,
    /// The logger ended.
    LoggerEnd,
    /// A role says something.
    Role(Role),
    /// The instance with this serial number ended.
    InstanceEnd(u64),
    /// Its init answers.
    Control(u64),
}

const SERIAL_BITS: u32 = 56;

impl Token {
    /// As a number.
    pub(crate) fn encode(self) -> u64 {
        let (kind, serial): (u64, u64) = match self {
            Token::Lifeline => (0, 0),
            Token::Signals => (1, 0),
            Token::Spawner => (2, 0),
            Token::SpawnerEnd => (3, 0),
            Token::Logger => (4, 0),
            Token::LoggerEnd => (5, 0),
            Token::Role(Role::Server) => (6, 0),
            Token::Role(Role::Edge) => (7, 0),
            Token::Role(Role::Doors) => (8, 0),
            Token::InstanceEnd(serial) => (9, serial),
            Token::Control(serial) => (10, serial),
        };
        kind << SERIAL_BITS | serial
    }

    /// Back again; `None` for a number that no token has.
    pub(crate) fn decode(number: u64) -> Option<Self> {
        let serial = number & ((1 << SERIAL_BITS) - 1);
        Some(match number >> SERIAL_BITS {
            0 => Token::Lifeline,
            1 => Token::Signals,
            2 => Token::Spawner,
            3 => Token::SpawnerEnd,
            4 => Token::Logger,
            5 => Token::LoggerEnd,
            6 => Token::Role(Role::Server),
            7 => Token::Role(Role::Edge),
            8 => Token::Role(Role::Doors),
            9 => Token::InstanceEnd(serial),
            10 => Token::Control(serial),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_comes_back() {
        let plain = [
            Token::Lifeline,
            Token::Signals,
            Token::Spawner,
            Token::SpawnerEnd,
            Token::Logger,
            Token::LoggerEnd,
        ];
        let roles = super::super::roles::ALL.map(Token::Role);
        let serials = [1, 77, (1 << SERIAL_BITS) - 1];
        let ends = serials.map(Token::InstanceEnd);
        let controls = serials.map(Token::Control);
        for token in plain.into_iter().chain(roles).chain(ends).chain(controls) {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(u64::MAX), None);
    }
}
