//! The entries, on disk and in memory.
//!
//! On disk an entry is one line: milliseconds since 1970, name and message, parted by tabs. A line
//! counts once its newline is there and the disk has confirmed it; half a line at the end, left by
//! a lost machine, is cut off at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Longest name, in characters.
pub const NAME_MAX: usize = 60;
/// Longest message, in characters.
pub const MESSAGE_MAX: usize = 600;

/// What one visitor wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    pub name: String,
    pub message: String,
}

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Empty,
    NameTooLong,
    MessageTooLong,
    NotKept,
}

impl Refused {
    pub fn words(self) -> String {
        match self {
            Self::Empty => "The message is still empty.".to_owned(),
            Self::NameTooLong => format!("A name has at most {NAME_MAX} characters."),
            Self::MessageTooLong => format!("A message has at most {MESSAGE_MAX} characters."),
            Self::NotKept => "The entry could not be kept. Please try again later.".to_owned(),
        }
    }
}

impl Entry {
    /// Tidies and checks what a visitor typed.
    pub fn new(at_ms: u64, name: &str, message: &str) -> Result<Self, Refused> {
        let tidy = |text: &str| -> String {
            let text = text.replace("\r\n", "\n");
            text.chars()
                .filter(|c| *c == '\n' || !c.is_control())
                .collect()
        };
        let name = tidy(name).replace('\n', " ").trim().to_owned();
        let message = tidy(message).trim().to_owned();
        if message.is_empty() {
            return Err(Refused::Empty);
        }
        if name.chars().count() > NAME_MAX {
            return Err(Refused::NameTooLong);
        }
        if message.chars().count() > MESSAGE_MAX {
            return Err(Refused::MessageTooLong);
        }
        Ok(Self {
            at_ms,
            name,
            message,
        })
    }

    fn to_line(&self) -> String {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n");
        format!(
            "{}\t{}\t{}\n",
            self.at_ms,
            escape(&self.name),
            escape(&self.message)
        )
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let (at, name, message) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            at_ms: at.parse().ok()?,
            name: unescape(name)?,
            message: unescape(message)?,
        })
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// The whole book.
#[derive(Debug)]
pub struct Book {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Bytes of whole, confirmed lines.
    len: u64,
    entries: Arc<Vec<Entry>>,
}

impl Book {
    /// Opens or begins the book in `folder`.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("entries.tsv");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut entries = Vec::new();
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            match Entry::from_line(line) {
                Some(entry) => entries.push(entry),
                None => eprintln!(
                    "guestbook: a line of {} cannot be read and is passed over",
                    path.display()
                ),
            }
        }
        file.set_len(whole as u64)?;
        File::open(folder)?.sync_all()?;
        let inner = Inner {
            file,
            len: whole as u64,
            entries: Arc::new(entries),
        };
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }

    /// Adds an entry; when this returns, the disk has it.
    pub fn add(&self, entry: Entry) -> io::Result<()> {
        let mut inner = self.lock();
        let line = entry.to_line();
        let len = inner.len;
        inner.file.seek(SeekFrom::Start(len))?;
        let written = inner
            .file
            .write_all(line.as_bytes())
            .and_then(|()| inner.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stay in front of the next one; what cannot be cut now is
            // overwritten then.
            let _ = inner.file.set_len(len);
            return Err(error);
        }
        inner.len += line.len() as u64;
        Arc::make_mut(&mut inner.entries).push(entry);
        Ok(())
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Arc<Vec<Entry>> {
        Arc::clone(&self.lock().entries)
    }

    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock leaves the book half changed, not even by a panic.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("guestbook-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn entries_are_there_after_a_restart() {
        let folder = folder("restart");
        let entry = Entry::new(7, " Ada\n", "two\r\nlines \\ and a tab\t.").unwrap();
        assert_eq!(entry.message, "two\nlines \\ and a tab.");
        Book::open(&folder).unwrap().add(entry.clone()).unwrap();
        assert_eq!(*Book::open(&folder).unwrap().entries(), [entry]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn half_a_line_is_cut_off() {
        let folder = folder("half");
        let entry = Entry::new(7, "Ada", "hello").unwrap();
        Book::open(&folder).unwrap().add(entry.clone()).unwrap();
        let path = folder.join("entries.tsv");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"99\tBob\thal")
            .unwrap();
        let book = Book::open(&folder).unwrap();
        book.add(entry.clone()).unwrap();
        assert_eq!(
            *Book::open(&folder).unwrap().entries(),
            [entry.clone(), entry]
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_entry_says_something_and_ends() {
        assert_eq!(Entry::new(0, "Ada", " \n "), Err(Refused::Empty));
        assert_eq!(
            Entry::new(0, &"x".repeat(61), "hi"),
            Err(Refused::NameTooLong)
        );
        assert_eq!(
            Entry::new(0, "", &"é".repeat(601)),
            Err(Refused::MessageTooLong)
        );
        assert!(Entry::new(0, "", &"é".repeat(600)).is_ok());
    }
}
