//! What the init of an instance is told and says, in the formats of `toft-sandbox`.

use std::os::fd::BorrowedFd;
use toft_model::instance::Refusal;

/// What an init said before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The program ended with this wait status.
    Ended(i32),
    /// The program could not be run: the error number of exec.
    NotRun(i32),
}

/// Reads the record that an init left in its status pipe, which must not block.
pub(crate) fn told_by_init(status: BorrowedFd<'_>) -> Option<Told> {
    let mut record = [0; 8];
    let got = rustix::io::read(status, &mut record).ok()?;
    let kind = i32::from_ne_bytes(record.get(..4)?.try_into().ok()?);
    let value = i32::from_ne_bytes(record.get(4..got)?.try_into().ok()?);
    match kind {
        0 => Some(Told::Ended(value)),
        _ => Some(Told::NotRun(value)),
    }
}

/// The packet that has an init run a command beside its program.
pub(crate) fn run_request(number: u64, argv: &[String]) -> Vec<u8> {
    let mut packet = number.to_ne_bytes().to_vec();
    for word in argv {
        packet.extend_from_slice(word.as_bytes());
        packet.push(0);
    }
    packet
}

/// Its answer: the number, and the wait status of the command.
pub(crate) fn run_answer(packet: &[u8]) -> Option<(u64, Option<i32>)> {
    let number = u64::from_ne_bytes(packet.get(..8)?.try_into().ok()?);
    let status = i32::from_ne_bytes(packet.get(8..12)?.try_into().ok()?);
    Some((number, Some(status)))
}

/// Own namespaces for the keeper.
pub(crate) fn enter() -> Result<(), Refusal> {
    Ok(())
}
