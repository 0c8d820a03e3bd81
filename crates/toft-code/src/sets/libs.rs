//! Which libraries a program needs and where the machine's loader would find them (ld.so(8)).

use super::elf::{self, Elf};
use super::{SetError, Wanted};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The loader's cache and what was found already.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    cache: Option<HashMap<String, Vec<PathBuf>>>,
    done: BTreeSet<PathBuf>,
}

const DEFAULT_FOLDERS: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];

impl Wanted<'_> {
    /// Shows a program of the machine itself, with all that it needs.
    pub(super) fn program(&mut self, file: &Path) -> Result<(), SetError> {
        if self.parts.add_if_there(file).is_none() {
            return Err(SetError::NoProgram {
                name: file.display().to_string(),
                looked: vec![file.to_owned()],
                package: None,
            });
        }
        self.needs_of(file)
    }

    /// Shows what a file needs, not the file itself: loader and libraries, or interpreter.
    pub(super) fn needs_of(&mut self, file: &Path) -> Result<(), SetError> {
        let real = file.canonicalize().map_err(|source| SetError::Read {
            path: file.to_owned(),
            source,
        })?;
        if !self.libraries.done.insert(real.clone()) {
            return Ok(());
        }
        let Some(elf) = read(&real)? else {
            return self.interpreter_of(&real);
        };
        if let Some(loader) = &elf.interpreter {
            if self.parts.add_if_there(loader).is_none() {
                let library = loader.display().to_string();
                return Err(SetError::NoLibrary {
                    program: file.to_owned(),
                    library,
                });
            }
            // What threads need to be cancelled is loaded by name at that moment (pthread_cancel(3)).
            if let Some(late) = self.find(&real, &elf, "libgcc_s.so.1", &[]) {
                self.parts.add_if_there(&late);
            }
        }
        self.libraries_of(&real, &elf, &[])
    }

    /// Adds each library with those that it needs; `inherited` are the `RPATH`s of those above.
    fn libraries_of(
        &mut self,
        file: &Path,
        elf: &Elf,
        inherited: &[PathBuf],
    ) -> Result<(), SetError> {
        let mut paths = if elf.runpath.is_empty() {
            expand(&elf.rpath, file)
        } else {
            Vec::new()
        };
        paths.extend_from_slice(inherited);
        for name in &elf.needed {
            let Some(library) = self.find(file, elf, name, &paths) else {
                // A loader by another name is its own library.
                if elf
                    .interpreter
                    .as_ref()
                    .and_then(|loader| loader.file_name())
                    .is_some_and(|own| own == name.as_str())
                {
                    continue;
                }
                return Err(SetError::NoLibrary {
                    program: file.to_owned(),
                    library: name.clone(),
                });
            };
            self.parts.add_if_there(&library);
            let real = library.canonicalize().unwrap_or(library);
            if self.libraries.done.insert(real.clone())
                && let Some(inner) = read(&real)?
            {
                self.libraries_of(&real, &inner, &paths)?;
            }
        }
        Ok(())
    }

    fn find(&mut self, file: &Path, elf: &Elf, name: &str, rpaths: &[PathBuf]) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| path.exists());
        }
        let fits =
            |path: &PathBuf| matches!(elf::read(path), Ok(Some(found)) if found.kind == elf.kind);
        let near = rpaths
            .iter()
            .cloned()
            .chain(expand(&elf.runpath, file))
            .map(|folder| folder.join(name));
        if let Some(found) = near.into_iter().find(fits) {
            return Some(found);
        }
        let cache = self.libraries.cache.get_or_insert_with(|| {
            std::fs::read("/etc/ld.so.cache")
                .ok()
                .and_then(|bytes| parse_cache(&bytes))
                .unwrap_or_default()
        });
        let cached = cache.get(name).cloned().unwrap_or_default();
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        let multiarch = ["/lib", "/usr/lib"].map(|folder| Path::new(folder).join(&triple));
        let folders = multiarch
            .into_iter()
            .chain(DEFAULT_FOLDERS.map(PathBuf::from));
        cached
            .into_iter()
            .chain(folders.map(|folder| folder.join(name)))
            .find(fits)
    }

    /// The interpreter that a script's first line names.
    fn interpreter_of(&mut self, file: &Path) -> Result<(), SetError> {
        let Some((interpreter, argument)) = first_line(file)? else {
            let why = "it is neither an ELF file nor a script with #!".to_owned();
            return Err(SetError::Program {
                file: file.to_owned(),
                why,
            });
        };
        let mut argv = vec![interpreter];
        argv.extend(argument);
        let inferred = super::infer(self.host, &argv, &self.host.folder.clone())?;
        for name in &inferred.uses {
            self.set(name)?;
        }
        inferred
            .programs
            .iter()
            .try_for_each(|program| self.needs_of(program))
    }
}

fn read(path: &Path) -> Result<Option<Elf>, SetError> {
    elf::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => SetError::Program {
            file: path.to_owned(),
            why: error.to_string(),
        },
        _ => SetError::Read {
            path: path.to_owned(),
            source: error,
        },
    })
}

/// `#!interpreter argument` (execve(2)); `None` for another kind of file.
pub(super) fn first_line(file: &Path) -> Result<Option<(String, Option<String>)>, SetError> {
    use std::io::Read;
    let mut head = Vec::new();
    let opened = std::fs::File::open(file).and_then(|file| file.take(256).read_to_end(&mut head));
    opened.map_err(|source| SetError::Read {
        path: file.to_owned(),
        source,
    })?;
    let Some(rest) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim().splitn(2, [' ', '\t']);
    let interpreter = words.next().unwrap_or_default().to_owned();
    let argument = words
        .next()
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty());
    Ok((!interpreter.is_empty()).then_some((interpreter, argument)))
}

/// Puts the file's own folder in the place of `$ORIGIN`; what else varies is left out.
fn expand(paths: &[String], file: &Path) -> Vec<PathBuf> {
    let origin = file.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let expanded = paths.iter().filter(|path| !path.is_empty()).map(|path| {
        path.replace("${ORIGIN}", &origin)
            .replace("$ORIGIN", &origin)
    });
    expanded
        .filter(|path| !path.contains('$'))
        .map(PathBuf::from)
        .collect()
}

/// The loader's cache, format 1.1: name to paths, without those for particular processors, which
/// are only faster.
fn parse_cache(bytes: &[u8]) -> Option<HashMap<String, Vec<PathBuf>>> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    // An older table may stand in front.
    let start = bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)?;
    let bytes = &bytes[start..];
    let word = |at: usize| -> Option<usize> {
        usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    let text = |at: usize| -> Option<String> {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    };
    let mut found: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for number in 0..word(20)? {
        let at = number.checked_mul(ENTRY)?.checked_add(HEADER)?;
        let entry = bytes.get(at..at + ENTRY)?;
        if entry[16..24] != [0; 8] {
            continue;
        }
        found
            .entry(text(word(at + 4)?)?)
            .or_default()
            .push(text(word(at + 8)?)?.into());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_machines_cache_names_its_libc() {
        let Ok(bytes) = std::fs::read("/etc/ld.so.cache") else {
            eprintln!("SKIPPED: this machine has no /etc/ld.so.cache");
            return;
        };
        let cache = parse_cache(&bytes).expect("the cache is read");
        assert!(cache["libc.so.6"].iter().any(|path| path.exists()));
    }

    proptest! {
        #[test]
        fn a_damaged_cache_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut whole = b"glibc-ld.so.cache1.1".to_vec();
            whole.extend(bytes);
            let _ = parse_cache(&whole);
        }
    }

    #[test]
    fn origins_are_expanded() {
        let paths = ["$ORIGIN/../lib", "/x", "", "/$LIB/y"].map(str::to_owned);
        assert_eq!(
            expand(&paths, Path::new("/a/bin/b")),
            [PathBuf::from("/a/bin/../lib"), "/x".into()]
        );
    }
}
