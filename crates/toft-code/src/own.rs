//! Folders and files that Toft keeps beside code that nobody vouches for.
//!
//! A project may bring a `.toft` of its own, with links in it that lead anywhere. What is written
//! there, possibly by root, must not go through them.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes a folder where there is none; one that is there must be a folder, not a link to one.
/// The folder above must exist.
pub fn folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    match std::fs::symlink_metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else than a folder of Toft's own stands there: remove it",
        )),
    }
}

/// A new and empty file in the place of whatever file or link stood there.
pub(crate) fn fresh_file(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_written_through_a_link() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir(at("there")).unwrap();
        std::fs::write(at("precious"), "text").unwrap();
        symlink("there", at("link")).unwrap();
        symlink("precious", at("file")).unwrap();
        folder(&at("new")).unwrap();
        folder(&at("new")).unwrap();
        assert!(folder(&at("link")).is_err());
        assert!(folder(&at("precious")).is_err());
        fresh_file(&at("file")).unwrap();
        assert_eq!(std::fs::read_to_string(at("precious")).unwrap(), "text");
    }
}
