//! `use` sets: named parts of the machine that a program needs to see, as read-only mounts.
//!
//! All of the machine is read here, with the caller's own rights, and what comes out is plain data.
//! The sets of one instance are resolved together, because they share folders: a few files become a
//! few binds, many files become one tree of copies, and where those would take too much, whole folders
//! of `/usr`, which a note says.

mod base;
mod builtin;
mod debian;
mod elf;
mod infer;
mod libs;
mod memo;
mod parts;
mod pool;
mod toolchain;
mod tree;

pub use base::{INSIDE_PATH, base_run_files, base_view};
pub use builtin::{Summary, list};
pub use infer::{Inferred, infer};
pub use memo::Memo;
pub use pool::prune;

use crate::shown;
use parts::Parts;
use std::path::{Path, PathBuf};
use toft_model::sandbox::Mount;

/// What is known of the machine and of the one who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Folders in which the caller's own programs are found.
    pub path: Vec<PathBuf>,
    /// The Toft binary itself.
    pub toft: PathBuf,
    /// The folder of the code, which may choose a toolchain.
    pub folder: PathBuf,
    /// Files with certificates of authorities that the caller's environment names.
    pub authorities: Vec<PathBuf>,
}

/// Variables that name a file with certificates of authorities.
const AUTHORITY_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
];

impl Host {
    /// This machine as the calling process sees it.
    pub fn here(folder: &Path, toft: &Path) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let authorities = AUTHORITY_VARIABLES
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from);
        let mut authorities: Vec<PathBuf> = authorities
            .filter(|file| file.is_absolute() && file.is_file())
            .collect();
        authorities.sort();
        authorities.dedup();
        Self {
            path: std::env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
            toft: toft.to_owned(),
            folder: folder.to_owned(),
            authorities,
        }
    }

    /// A program by its name: where it would be found inside, else on the caller's own `PATH`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let inside = INSIDE_PATH.split(':').map(Path::new);
        inside
            .chain(self.path.iter().map(PathBuf::as_path))
            .map(|folder| folder.join(name))
            .find(|file| is_program(file))
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// What one instance needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// Names of sets, declared or inferred.
    pub uses: &'a [String],
    /// Files of the code itself, as they lie on the machine, whose loader, libraries or interpreter
    /// are needed.
    pub programs: &'a [PathBuf],
    /// Places where something else will be mounted, and whether that is a folder.
    pub mountpoints: &'a [(PathBuf, bool)],
}

/// What the sets of one instance come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Read-only mounts, parents before children.
    pub mounts: Vec<Mount>,
    /// Folders in front of [`INSIDE_PATH`].
    pub path: Vec<String>,
    /// Variables for every process that uses the sets.
    pub env: Vec<(String, String)>,
    /// Variables for a build alone.
    pub build_env: Vec<(String, String)>,
    /// What a person should know: what is shown beyond what was asked for, or lacks.
    pub notes: Vec<String>,
    /// The name of the cached tree, for [`prune`]; `None` when there is none.
    pub tree: Option<String>,
}

impl Resolved {
    /// The base set and these, parents before children.
    pub fn view(&self) -> Vec<Mount> {
        let all = self.mounts.iter().cloned().chain(base_view());
        let view: std::collections::BTreeMap<PathBuf, Mount> =
            all.map(|mount| (mount.target.clone(), mount)).collect();
        view.into_values().collect()
    }

    /// The whole value of `PATH`.
    pub fn path_value(&self) -> String {
        let mut parts: Vec<&str> = self.path.iter().map(String::as_str).collect();
        parts.push(INSIDE_PATH);
        parts.join(":")
    }
}

/// Why a set cannot be had on this machine.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// No set has this name.
    #[error("there is no set named `{}`", shown::text(name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A package is not installed.
    #[error("the Debian package `{}` is not installed", shown::text(package))]
    NotInstalled {
        /// Its name.
        package: String,
    },
    /// The set is of packages, and this is no Debian.
    #[error(
        "`{}` is a set of Debian packages, and this machine has no dpkg",
        shown::text(set)
    )]
    NoDpkg {
        /// The set.
        set: String,
    },
    /// A program is nowhere to be found.
    #[error("the program `{}` is not on this machine", shown::text(name))]
    NoProgram {
        /// Its name or path.
        name: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
        /// The package that usually has it.
        package: Option<&'static str>,
    },
    /// A library is nowhere to be found.
    #[error(
        "{} needs the library {}, which is not on this machine",
        shown::path(program),
        shown::text(library)
    )]
    NoLibrary {
        /// Who needs it.
        program: PathBuf,
        /// Its name.
        library: String,
    },
    /// A file is no program that could be understood.
    #[error(
        "{} cannot be read as a program: {}",
        shown::path(file),
        shown::text(why)
    )]
    Program {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A tool did not say where its parts are.
    #[error("`{command}` failed")]
    Tool {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// Something of the machine cannot be read.
    #[error("cannot read {}", shown::path(path))]
    Read {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cached tree cannot be made.
    #[error("cannot write {}", shown::path(path))]
    Write {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SetError {
    /// The command or the change that helps.
    pub fn cure(&self) -> Option<String> {
        let cure = self.cure_as_it_is()?;
        let lines: Vec<String> = cure.lines().map(shown::text).collect();
        Some(lines.join("\n"))
    }

    fn cure_as_it_is(&self) -> Option<String> {
        match self {
            Self::Unknown { name } => Some(match builtin::nearest(name) {
                Some(near) => format!("did you mean `{near}`? `toft use list` shows all"),
                None => "`toft use list` shows all".to_owned(),
            }),
            Self::NotInstalled { package } => Some(format!(
                "sudo apt-get install --no-install-recommends {package}"
            )),
            Self::NoProgram { name, .. } if name == "rustc" || name == "cargo" => Some(
                "install Rust as https://rustup.rs says, or your distribution's cargo".to_owned(),
            ),
            Self::NoProgram {
                package: Some(package),
                ..
            } if debian::is_here() => Some(format!(
                "sudo apt-get install --no-install-recommends {package}"
            )),
            Self::NoProgram { name, .. } => Some(format!(
                "install `{name}`, or put it into the folder of the app"
            )),
            Self::NoDpkg { .. } => Some("use a set by its plain name, or files lines".to_owned()),
            Self::NoLibrary { library, .. } => Some(format!(
                "install the package that has {library}, or put it beside the program"
            )),
            Self::Tool { said, .. } => Some(said.clone()),
            Self::Program { .. } | Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// Finds everything that `request` needs on the machine. Trees of copies are kept below `state`.
pub fn resolve(host: &Host, request: &Request<'_>, state: &Path) -> Result<Resolved, SetError> {
    let mut wanted = Wanted::new(host);
    for name in request.uses {
        wanted.set(name)?;
    }
    for program in request.programs {
        wanted.needs_of(program)?;
    }
    wanted.finish(request.mountpoints, state)
}

/// What one set alone comes to, for `toft use show`. A tree is shown as its binds would be.
pub fn show(host: &Host, name: &str) -> Result<Resolved, SetError> {
    let mut wanted = Wanted::new(host);
    wanted.set(name)?;
    let mounts = wanted.parts.binds();
    Ok(Resolved {
        mounts,
        ..wanted.result
    })
}

/// What has been collected so far.
struct Wanted<'a> {
    host: &'a Host,
    parts: Parts,
    debian: Option<debian::Status>,
    done: std::collections::BTreeSet<String>,
    libraries: libs::Libraries,
    whole_usr: bool,
    result: Resolved,
}

impl<'a> Wanted<'a> {
    fn new(host: &'a Host) -> Self {
        Self {
            host,
            parts: Parts::default(),
            debian: None,
            done: std::collections::BTreeSet::new(),
            libraries: libs::Libraries::default(),
            whole_usr: false,
            result: Resolved::default(),
        }
    }

    fn note(&mut self, note: String) {
        if !self.result.notes.contains(&note) {
            self.result.notes.push(note);
        }
    }

    fn path_front(&mut self, folder: &Path) {
        let folder = folder.to_string_lossy().into_owned();
        if !self.result.path.contains(&folder) && !INSIDE_PATH.split(':').any(|own| own == folder) {
            self.result.path.push(folder);
        }
    }

    fn env(&mut self, key: &str, value: &str) {
        self.result.env.push((key.to_owned(), value.to_owned()));
    }

    fn build_env(&mut self, key: &str, value: &str) {
        self.result
            .build_env
            .push((key.to_owned(), value.to_owned()));
    }

    /// Packages of this machine, read once.
    fn debian(&mut self) -> Result<&debian::Status, SetError> {
        match &mut self.debian {
            Some(_) => {}
            none => *none = Some(debian::Status::read()?),
        }
        Ok(self.debian.as_ref().expect("it was just filled"))
    }

    fn package(&mut self, name: &str) -> Result<(), SetError> {
        let files = self.debian()?.files(name)?;
        for file in files {
            self.parts.add_packaged(&file);
        }
        Ok(())
    }

    /// A machine without dpkg shows its `/usr` as a whole: nothing there says what belongs together.
    fn machines_usr(&mut self, set: &str) {
        self.whole_usr = true;
        self.note(format!("`{set}` shows all programs and libraries of this machine's /usr: it has no dpkg that knows the parts"));
    }

    fn finish(
        mut self,
        mountpoints: &[(PathBuf, bool)],
        state: &Path,
    ) -> Result<Resolved, SetError> {
        if !self.parts.is_empty() || self.whole_usr {
            self.parts.add_if_there(Path::new("/etc/ld.so.cache"));
            self.parts.add_merged_usr();
        }
        if self.whole_usr {
            self.result.mounts = self.parts.binds_with_whole_usr();
            return Ok(self.result);
        }
        // A tree that is there was made because there were too many binds.
        if let Some((mounts, key)) = tree::find(&self.parts, mountpoints, state) {
            (self.result.mounts, self.result.tree) = (mounts, Some(key));
            return Ok(self.result);
        }
        let binds = self.parts.binds();
        if parts::bind_count(&binds) <= tree::BINDS_MAX {
            self.result.mounts = binds;
            return Ok(self.result);
        }
        match tree::make(&self.parts, mountpoints, state)? {
            tree::Made::Tree { mounts, key } => {
                self.result.mounts = mounts;
                self.result.tree = Some(key);
            }
            tree::Made::Refused(why) => {
                self.result.mounts = self.parts.binds_with_whole_usr();
                self.note(format!(
                    "all programs and libraries of this machine's /usr can be seen, read-only, beside what was asked for: {why}"
                ));
            }
        }
        Ok(self.result)
    }
}
