//! The sets that have a name of their own.

use super::parts::Part;
use super::{SetError, Wanted, debian, toolchain};
use std::path::{Path, PathBuf};

/// A set as `toft use list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// What is written in the app file.
    pub name: &'static str,
    /// What it brings.
    pub words: &'static str,
}

const SETS: [Summary; 11] = [
    Summary {
        name: "cc",
        words: "the C compiler, its linker and the C library's headers",
    },
    Summary {
        name: "certs",
        words: "certificates of authorities, for TLS to the outside",
    },
    Summary {
        name: "debian:PACKAGE",
        words: "an installed Debian package with all that it depends on",
    },
    Summary {
        name: "go",
        words: "the Go toolchain",
    },
    Summary {
        name: "node",
        words: "Node.js with npm",
    },
    Summary {
        name: "program:/PATH",
        words: "one program of the machine with its libraries",
    },
    Summary {
        name: "python3",
        words: "Python 3 with its standard library, and pip where it is installed",
    },
    Summary {
        name: "rust",
        words: "the Rust toolchain that the folder chooses, with the C linker",
    },
    Summary {
        name: "shell",
        words: "sh, bash and the usual small programs",
    },
    Summary {
        name: "timezone",
        words: "the time zones of the world",
    },
    Summary {
        name: "toft",
        words: "Toft's own program, which serves static pages",
    },
];

/// Packages of the set `shell`, those that are installed.
const SHELL: [&str; 9] = [
    "dash",
    "bash",
    "coreutils",
    "sed",
    "grep",
    "findutils",
    "mawk",
    "tar",
    "gzip",
];
/// Certificates of authorities, where the distributions keep them.
const CERTS: [&str; 7] = [
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
];
/// Where Toft's own program stands inside.
const TOFT: &str = "/usr/local/bin/toft";

/// All sets, by name.
pub fn list() -> &'static [Summary] {
    &SETS
}

/// The set whose name is written most like `name`.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    const ALSO: [(&str, &str); 9] = [
        ("python", "python3"),
        ("nodejs", "node"),
        ("npm", "node"),
        ("cargo", "rust"),
        ("gcc", "cc"),
        ("golang", "go"),
        ("sh", "shell"),
        ("bash", "shell"),
        ("ca-certificates", "certs"),
    ];
    let also = ALSO
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, set)| *set);
    let plain = SETS
        .iter()
        .map(|set| set.name)
        .filter(|set| !set.contains(':'));
    also.or_else(|| {
        plain
            .map(|set| (distance(set, name), set))
            .min()
            .filter(|(far, _)| *far <= 2)
            .map(|(_, set)| set)
    })
}

/// Insertions, deletions and replacements between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let replaced = corner + usize::from(ca != *cb);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl Wanted<'_> {
    /// Adds a set by its name, once.
    pub(super) fn set(&mut self, name: &str) -> Result<(), SetError> {
        if !self.done.insert(name.to_owned()) {
            return Ok(());
        }
        if let Some(package) = name.strip_prefix("debian:") {
            return match debian::is_here() {
                true => self.package(package),
                false => Err(SetError::NoDpkg {
                    set: name.to_owned(),
                }),
            };
        }
        if let Some(path) = name.strip_prefix("program:") {
            return self.program(Path::new(path));
        }
        match name {
            "cc" => toolchain::cc(self),
            "certs" => self.certs(),
            "go" => toolchain::go(self),
            "node" => toolchain::node(self),
            "python3" => toolchain::python(self),
            "rust" => toolchain::rust(self),
            "shell" => self.shell(),
            "timezone" => {
                self.parts.add_if_there(Path::new("/usr/share/zoneinfo"));
                Ok(())
            }
            "toft" => self.toft(),
            _ => Err(SetError::Unknown {
                name: name.to_owned(),
            }),
        }
    }

    fn certs(&mut self) -> Result<(), SetError> {
        let mut found = false;
        for path in CERTS {
            found |= self.parts.add_if_there(Path::new(path)).is_some();
        }
        for file in self.host.authorities.clone() {
            found |= self.parts.add_if_there(&file).is_some();
        }
        if found {
            return Ok(());
        }
        let looked = CERTS.map(PathBuf::from).to_vec();
        Err(SetError::NoProgram {
            name: "certificates of authorities".to_owned(),
            looked,
            package: Some("ca-certificates"),
        })
    }

    fn shell(&mut self) -> Result<(), SetError> {
        if !debian::is_here() {
            self.machines_usr("shell");
            return Ok(());
        }
        for package in SHELL {
            if self.debian()?.is_installed(package) {
                self.package(package)?;
            }
        }
        // /bin/sh may be a link that its package only makes while it is configured.
        self.parts.add_if_there(Path::new("/bin/sh"));
        Ok(())
    }

    fn toft(&mut self) -> Result<(), SetError> {
        let file = self.host.toft.canonicalize();
        let file = file.map_err(|source| SetError::Read {
            path: self.host.toft.clone(),
            source,
        })?;
        self.parts.add_at(Path::new(TOFT), Part::File(file.clone()));
        self.needs_of(&file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_names_are_understood() {
        assert_eq!(nearest("python"), Some("python3"));
        assert_eq!(nearest("rst"), Some("rust"));
        assert_eq!(nearest("cert"), Some("certs"));
        assert_eq!(nearest("kubernetes"), None);
    }
}
