//! A file that remembers something about each path of a folder.
//!
//! It is a cache in all its uses: one that is missing, cut off or of another format reads as empty,
//! and everything is looked at again.

use crate::own;
use crate::paths::PathMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is remembered about one path, in one line without a NUL byte.
pub(super) trait Record: Sized {
    /// Changes with the format.
    const MAGIC: &'static str;
    fn write(&self, out: &mut String);
    fn read<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self>;
}

pub(super) type Ledger<R> = PathMap<R>;

pub(super) fn load<R: Record>(file: &Path) -> Ledger<R> {
    std::fs::read(file)
        .ok()
        .and_then(|bytes| parse(&bytes))
        .unwrap_or_default()
}

/// Each record is `fields… <space> path NUL`; the first is the magic, the last is empty.
fn parse<R: Record>(bytes: &[u8]) -> Option<Ledger<R>> {
    let body = bytes
        .strip_suffix(b"\0\0")?
        .strip_prefix(R::MAGIC.as_bytes())?;
    let mut ledger = Ledger::default();
    for line in body
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty())
    {
        let space = line.iter().position(|byte| *byte == b'\t')?;
        let (fields, path) = (
            std::str::from_utf8(&line[..space]).ok()?,
            &line[space + 1..],
        );
        ledger.insert(
            OsStr::from_bytes(path).into(),
            R::read(&mut fields.split(' '))?,
        );
    }
    Some(ledger)
}

/// Replaces the file as a whole. It need not survive a power cut: it is only a cache.
pub(super) fn save<R: Record>(file: &Path, ledger: &Ledger<R>) -> io::Result<()> {
    let mut bytes = R::MAGIC.as_bytes().to_vec();
    bytes.push(0);
    let mut fields = String::new();
    for (path, record) in ledger.iter() {
        fields.clear();
        record.write(&mut fields);
        bytes.extend_from_slice(fields.trim_end().as_bytes());
        bytes.push(b'\t');
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    bytes.push(0);
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    own::fresh_file(Path::new(&fresh))?.write_all(&bytes)?;
    std::fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::stamp::Stamp;

    impl Record for Stamp {
        const MAGIC: &'static str = "stamps 1";
        fn write(&self, out: &mut String) {
            Stamp::write(self, out);
        }
        fn read<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
            Stamp::read(fields)
        }
    }

    #[test]
    fn a_ledger_is_whole_or_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger");
        let mut ledger = Ledger::default();
        ledger.insert(
            "a b/\n\tc".into(),
            Stamp {
                size: 7,
                mtime: -3,
                ..Stamp::DOUBT
            },
        );
        ledger.insert(OsStr::from_bytes(b"\xff").into(), Stamp::DOUBT);
        save(&file, &ledger).unwrap();
        assert_eq!(load::<Stamp>(&file), ledger);
        let bytes = std::fs::read(&file).unwrap();
        for end in 0..bytes.len() {
            let cut = parse::<Stamp>(&bytes[..end]).unwrap_or_default();
            assert!(cut.is_empty(), "cut at {end}");
        }
        save(&file, &Ledger::<Stamp>::default()).unwrap();
        assert_eq!(load::<Stamp>(&file), Ledger::default());
        assert_eq!(
            load::<Stamp>(&folder.path().join("none")),
            Ledger::default()
        );
    }
}
