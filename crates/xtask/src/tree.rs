//! The project's own files: where they are and what they say.

use anyhow::Context;
use std::path::{Path, PathBuf};

/// Folders that hold no source: products, histories, packages of others.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    ".toft",
    "node_modules",
    "artifacts",
    "corpus",
];

/// One text file of the project.
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_page(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// The root of the workspace that this program was started for.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors()
        .find(|folder| folder.join("ARCHITECTURE.md").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("no ARCHITECTURE.md at or above {}", here.display()))
}

/// All text files below `root`, in a stable order. What is not UTF-8 is left out.
pub(crate) fn files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    collect(root, root, &mut found)?;
    found.sort_by(|a: &File, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<File>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let marked = entry.path().join("CACHEDIR.TAG").exists();
            let skipped = SKIPPED.iter().any(|s| name == *s);
            if !marked && !skipped {
                collect(root, &entry.path(), found)?;
            }
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            let path = entry.path();
            let path = path
                .strip_prefix(root)
                .expect("found below root")
                .to_string_lossy();
            found.push(File {
                path: path.into_owned(),
                text,
            });
        }
    }
    Ok(())
}
