//! What programs say on their notify socket (sd_notify(3)).

use crate::limits::WORDS_MAX;

/// What one datagram said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    pub(super) ready: bool,
    pub(super) status: Option<String>,
}

/// Reads one datagram: lines of `KEY=value`; unknown ones are passed over.
pub(super) fn read(datagram: &[u8]) -> Said {
    let mut said = Said::default();
    for line in datagram.split(|b| *b == b'\n') {
        if line == b"READY=1" {
            said.ready = true;
        } else if let Some(status) = line.strip_prefix(b"STATUS=") {
            said.status = Some(plain(status));
        }
    }
    said
}

/// Text of a program, safe to show: no control characters, bounded.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .filter(|c| !c.is_control())
        .take(WORDS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_and_status_are_heard() {
        let status = |text: &str| Said {
            ready: false,
            status: Some(text.to_owned()),
        };
        assert_eq!(read(b"STATUS=migrating\n"), status("migrating"));
        assert_eq!(read(b"STATUS=a\x1b[31mb"), status("a[31mb"));
        assert_eq!(
            read(b"MAINPID=1\nREADY=1"),
            Said {
                ready: true,
                status: None
            }
        );
        assert_eq!(read(b"READY=10"), Said::default());
        assert_eq!(read(b""), Said::default());
    }
}
