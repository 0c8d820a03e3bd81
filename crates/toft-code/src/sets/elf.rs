//! What an ELF file asks of its loader (System V ABI, chapters 4 and 5; ld.so(8)).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Headers and tables larger than this are no program's.
const TABLE_BYTES_MAX: u64 = 64 << 20;

/// A file's demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    /// 32 or 64 bits, and for which processor: libraries must have the same.
    pub(super) kind: (u8, u16),
    /// The loader (`PT_INTERP`).
    pub(super) interpreter: Option<PathBuf>,
    /// Names of libraries (`DT_NEEDED`).
    pub(super) needed: Vec<String>,
    /// `DT_RPATH`, unexpanded.
    pub(super) rpath: Vec<String>,
    /// `DT_RUNPATH`, unexpanded.
    pub(super) runpath: Vec<String>,
}

/// Reads a file; `None` when it is no ELF file.
pub(super) fn read(path: &Path) -> io::Result<Option<Elf>> {
    let file = File::open(path)?;
    let mut ident = [0; 20];
    match file.read_exact_at(&mut ident, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if &ident[..4] != b"\x7fELF" {
        return Ok(None);
    }
    match (ident[4], ident[5]) {
        (1 | 2, 1) => Reader {
            file,
            wide: ident[4] == 2,
        }
        .read(ident)
        .map(Some),
        _ => Err(bad("not a little-endian ELF file")),
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

struct Reader {
    file: File,
    wide: bool,
}

/// One program header, as far as it is needed.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

impl Reader {
    fn read(&self, ident: [u8; 20]) -> io::Result<Elf> {
        let mut elf = Elf {
            kind: (ident[4], u16::from_le_bytes([ident[18], ident[19]])),
            interpreter: None,
            needed: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
        };
        let segments = self.segments()?;
        if let Some(interp) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
            let bytes = self.bytes(interp.offset, interp.size)?;
            elf.interpreter = Some(text_at(&bytes, 0)?.into());
        }
        if let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) {
            self.dynamic(dynamic, &segments, &mut elf)?;
        }
        Ok(elf)
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let header = self.bytes(0, if self.wide { 64 } else { 52 })?;
        let (table, size, count) = if self.wide {
            (
                number(&header, 32, 8)?,
                number(&header, 54, 2)?,
                number(&header, 56, 2)?,
            )
        } else {
            (
                number(&header, 28, 4)?,
                number(&header, 42, 2)?,
                number(&header, 44, 2)?,
            )
        };
        let bytes = self.bytes(table, size * count)?;
        let entry = usize::try_from(size).map_err(|_| bad("odd program headers"))?;
        if entry == 0 {
            return Ok(Vec::new());
        }
        bytes
            .chunks_exact(entry)
            .map(|head| self.segment(head))
            .collect()
    }

    fn segment(&self, head: &[u8]) -> io::Result<Segment> {
        let kind = u32::try_from(number(head, 0, 4)?).unwrap_or(0);
        let (offset, address, size) = if self.wide {
            (
                number(head, 8, 8)?,
                number(head, 16, 8)?,
                number(head, 32, 8)?,
            )
        } else {
            (
                number(head, 4, 4)?,
                number(head, 8, 4)?,
                number(head, 16, 4)?,
            )
        };
        Ok(Segment {
            kind,
            offset,
            address,
            size,
        })
    }

    fn dynamic(&self, dynamic: &Segment, segments: &[Segment], elf: &mut Elf) -> io::Result<()> {
        let width = if self.wide { 8 } else { 4 };
        let bytes = self.bytes(dynamic.offset, dynamic.size)?;
        let mut entries = Vec::new();
        for entry in bytes.chunks_exact(width * 2) {
            match (number(entry, 0, width)?, number(entry, width, width)?) {
                (0, _) => break,
                entry => entries.push(entry),
            }
        }
        let value = |tag| {
            entries
                .iter()
                .find(|(t, _)| *t == tag)
                .map(|(_, value)| *value)
        };
        let (Some(table), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
            return Ok(());
        };
        let load = segments
            .iter()
            .find(|s| s.kind == PT_LOAD && s.address <= table && table - s.address < s.size)
            .ok_or_else(|| bad("its string table is in no segment"))?;
        let strings = self.bytes(load.offset + (table - load.address), size)?;
        for (tag, at) in entries {
            let list = |text: String| text.split(':').map(str::to_owned).collect();
            match tag {
                DT_NEEDED => elf.needed.push(text_at(&strings, at)?),
                DT_RPATH => elf.rpath = list(text_at(&strings, at)?),
                DT_RUNPATH => elf.runpath = list(text_at(&strings, at)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn bytes(&self, at: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > TABLE_BYTES_MAX
            || at
                .checked_add(size)
                .is_none_or(|end| end > i64::MAX.cast_unsigned())
        {
            return Err(bad("a table is larger than any program's"));
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| bad("a table is too large"))?];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|_| bad("it is cut off"))?;
        Ok(bytes)
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> io::Result<u64> {
    let field = bytes
        .get(at..at + width)
        .ok_or_else(|| bad("it is cut off"))?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text_at(bytes: &[u8], at: u64) -> io::Result<String> {
    let at = usize::try_from(at).map_err(|_| bad("a name lies outside"))?;
    let rest = bytes.get(at..).ok_or_else(|| bad("a name lies outside"))?;
    let end = rest
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(rest.len());
    String::from_utf8(rest[..end].to_vec()).map_err(|_| bad("a name is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_program_of_this_machine() {
        let Ok(Some(elf)) = read(Path::new("/usr/bin/env")) else {
            eprintln!("SKIPPED: /usr/bin/env is no ELF program here");
            return;
        };
        assert!(elf.interpreter.is_some());
        assert!(elf.needed.iter().any(|name| name.starts_with("libc.")));
    }

    #[test]
    fn a_script_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "#!/bin/sh\necho something longer than a header\n").unwrap();
        assert_eq!(read(file.path()).unwrap(), None);
    }

    proptest! {
        #[test]
        fn damaged_programs_do_no_harm(at in 4_usize..4096, byte in any::<u8>(), cut in 16_usize..8192) {
            let mut bytes = std::fs::read("/proc/self/exe").unwrap();
            bytes.truncate(64 << 10);
            bytes[at] = byte;
            bytes.truncate(cut.max(at + 1));
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, &bytes).unwrap();
            let _ = read(file.path());
        }
    }
}
