//! What Debian's package manager says is installed (deb-control(5), dpkg-query(1)).
//!
//! Nothing is installed or asked of dpkg itself: its records are read. Left out are packages that
//! only configure others, and files that a running program does not read: documentation,
//! translations, unit files, `/var`.

use super::SetError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

const DPKG: &str = "/var/lib/dpkg";

/// Packages that others depend on for their installation, not for their work.
const CONFIGURE_ONLY: [&str; 14] = [
    "adduser",
    "base-files",
    "base-passwd",
    "debconf",
    "debianutils",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "lsb-base",
    "passwd",
    "sysvinit-utils",
    "systemd",
    "ucf",
    "udev",
];

/// Files that only people, the boot or the package manager read.
const NOT_READ: [&str; 18] = [
    "/var",
    "/boot",
    "/run",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/info",
    "/usr/share/locale",
    "/usr/share/lintian",
    "/usr/share/bug",
    "/usr/share/doc-base",
    "/usr/share/menu",
    "/usr/share/applications",
    "/lib/systemd",
    "/usr/lib/systemd",
    "/etc/init.d",
    "/etc/apparmor.d",
    "/etc/cron.d",
    "/usr/share/bash-completion",
];

/// Whether this machine has dpkg's records.
pub(super) fn is_here() -> bool {
    Path::new(DPKG).join("status").is_file()
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Package {
    architecture: String,
    /// Each group is met by any one of its members.
    depends: Vec<Vec<String>>,
    provides: Vec<String>,
}

/// All installed packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Status {
    packages: BTreeMap<String, Package>,
    /// Virtual name to packages.
    provided: HashMap<String, Vec<String>>,
    /// Path to where it was diverted, and for whose sake.
    diverted: HashMap<PathBuf, (PathBuf, String)>,
}

impl Status {
    pub(super) fn read() -> Result<Self, SetError> {
        let path = Path::new(DPKG).join("status");
        let text = std::fs::read(&path).map_err(|source| SetError::Read { path, source })?;
        let native =
            std::fs::read_to_string(Path::new(DPKG).join("arch-native")).unwrap_or_default();
        let native = if native.trim().is_empty() {
            native_architecture()
        } else {
            native.trim()
        };
        let mut status = Self::parse(&String::from_utf8_lossy(&text), native);
        status.diverted = parse_diversions(
            &std::fs::read_to_string(Path::new(DPKG).join("diversions")).unwrap_or_default(),
        );
        Ok(status)
    }

    fn parse(text: &str, native: &str) -> Self {
        let mut status = Self::default();
        for paragraph in text.split("\n\n") {
            if let Some((name, package)) = parse_package(paragraph) {
                // Of a package for two architectures the machine's own counts.
                let other = status.packages.get(&name);
                if other.is_none_or(|other| other.architecture != native) {
                    status.packages.insert(name, package);
                }
            }
        }
        for (name, package) in &status.packages {
            for virtual_name in &package.provides {
                status
                    .provided
                    .entry(virtual_name.clone())
                    .or_default()
                    .push(name.clone());
            }
        }
        status
    }

    pub(super) fn is_installed(&self, name: &str) -> bool {
        self.resolve(name).is_some()
    }

    /// The installed package of this name, or one that provides it.
    fn resolve(&self, name: &str) -> Option<&str> {
        match self.packages.get_key_value(name) {
            Some((name, _)) => Some(name),
            None => self
                .provided
                .get(name)
                .and_then(|names| names.first())
                .map(String::as_str),
        }
    }

    /// The package with all that it depends on.
    fn closure(&self, name: &str) -> Result<BTreeSet<&str>, SetError> {
        let top = self.resolve(name).ok_or_else(|| SetError::NotInstalled {
            package: name.to_owned(),
        })?;
        let mut found = BTreeSet::from([top]);
        let mut rest = vec![top];
        while let Some(name) = rest.pop() {
            for group in &self.packages[name].depends {
                // What dpkg itself let be missing is missing outside a sandbox too.
                let Some(next) = group.iter().find_map(|name| self.resolve(name)) else {
                    continue;
                };
                if !CONFIGURE_ONLY.contains(&next) && found.insert(next) {
                    rest.push(next);
                }
            }
        }
        Ok(found)
    }

    /// The files of a package and of all that it depends on, as they are named on the machine.
    pub(super) fn files(&self, name: &str) -> Result<BTreeSet<PathBuf>, SetError> {
        let mut files = BTreeSet::new();
        for package in self.closure(name)? {
            for line in self.list(package)?.lines() {
                if !is_not_read(line) {
                    files.insert(self.where_it_is(Path::new(line), package));
                }
            }
        }
        add_alternatives(&mut files);
        add_bytecode(&mut files);
        Ok(files)
    }

    fn where_it_is(&self, path: &Path, package: &str) -> PathBuf {
        match self.diverted.get(path) {
            Some((to, by)) if by != package => to.clone(),
            _ => path.to_owned(),
        }
    }

    fn list(&self, package: &str) -> Result<String, SetError> {
        let info = Path::new(DPKG).join("info");
        let plain = info.join(format!("{package}.list"));
        let path = if plain.is_file() {
            plain
        } else {
            info.join(format!(
                "{package}:{}.list",
                self.packages[package].architecture
            ))
        };
        std::fs::read_to_string(&path).map_err(|source| SetError::Read { path, source })
    }

    /// The package that a file belongs to.
    pub(super) fn owner(&self, file: &Path) -> Option<String> {
        let mut names = vec![file.to_owned()];
        // Records may name a file by the place it had before /usr was merged.
        names.extend(
            file.strip_prefix("/usr")
                .ok()
                .map(|rest| Path::new("/").join(rest)),
        );
        self.packages.keys().find_map(|package| {
            let list = self.list(package).ok()?;
            list.lines()
                .any(|line| names.iter().any(|name| name.as_os_str() == line))
                .then(|| package.clone())
        })
    }
}

fn is_not_read(line: &str) -> bool {
    NOT_READ.iter().any(|top| {
        line.strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn native_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        other => other,
    }
}

/// One paragraph of the status file; `None` for what is not installed.
fn parse_package(paragraph: &str) -> Option<(String, Package)> {
    let mut name = None;
    let mut installed = false;
    let mut package = Package::default();
    for line in paragraph.lines() {
        let Some((key, value)) = line.split_once(": ") else {
            continue;
        };
        match key {
            "Package" => name = Some(value.trim().to_owned()),
            "Status" => installed = value.trim().ends_with(" installed"),
            "Architecture" => package.architecture = value.trim().to_owned(),
            "Depends" | "Pre-Depends" => package.depends.extend(groups(value)),
            "Provides" => package.provides = groups(value).into_iter().flatten().collect(),
            _ => {}
        }
    }
    installed.then_some((name?, package))
}

/// `a (>= 1), b:any | c` without versions and architectures.
fn groups(value: &str) -> Vec<Vec<String>> {
    let bare = |text: &str| {
        let end = text.find([' ', '(', ':', '[']).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let group = |group: &str| {
        group
            .split('|')
            .map(|name| bare(name.trim()))
            .filter(|name| !name.is_empty())
            .collect()
    };
    value.split(',').map(group).collect()
}

/// Three lines each: from, to, by which package.
fn parse_diversions(text: &str) -> HashMap<PathBuf, (PathBuf, String)> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks_exact(3)
        .map(|three| (three[0].into(), (three[1].into(), three[2].to_owned())))
        .collect()
}

/// Adds the names that update-alternatives(1) gives to files that are shown: `/usr/bin/cc`.
fn add_alternatives(files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(Path::new(DPKG).join("alternatives"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        for (name, link) in parse_alternative(&entry.file_name().to_string_lossy(), &text) {
            let chosen = Path::new("/etc/alternatives").join(name);
            let leads_to_shown = std::fs::read_link(&chosen).is_ok_and(|to| files.contains(&to));
            if leads_to_shown && std::fs::read_link(&link).is_ok_and(|to| to == chosen) {
                files.insert(link);
            }
        }
    }
}

/// Adds Python's bytecode, which packages make while they are configured: without it each start
/// compiles the library anew.
fn add_bytecode(files: &mut BTreeSet<PathBuf>) {
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "py"))
        .filter_map(|file| file.parent())
        .collect();
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder.join("__pycache__"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let module = name
                .to_str()
                .and_then(|name| name.split('.').next())
                .unwrap_or_default();
            if files.contains(&folder.join(format!("{module}.py"))) {
                found.push(entry.path());
            }
        }
    }
    files.extend(found);
}

/// Name and link of an alternative and of those that follow it.
fn parse_alternative(name: &str, text: &str) -> Vec<(String, PathBuf)> {
    let mut lines = text.lines().skip(1);
    let mut found: Vec<(String, PathBuf)> = lines
        .next()
        .map(|link| (name.to_owned(), link.into()))
        .into_iter()
        .collect();
    while let (Some(name), Some(link)) =
        (lines.next().filter(|name| !name.is_empty()), lines.next())
    {
        found.push((name.to_owned(), link.into()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: app
Status: install ok installed
Architecture: amd64
Depends: libx1 (>= 1.2) | libx2, awk, gone, debconf (>= 0.5) | debconf-2.0
Pre-Depends: libc6:any

Package: libx2
Status: install ok installed
Architecture: amd64

Package: libx1
Status: deinstall ok config-files
Architecture: amd64

Package: mawk
Status: install ok installed
Architecture: amd64
Provides: awk, nawk (= 1)
Description: words
 Depends: not this

Package: libc6
Status: install ok installed
Architecture: i386

Package: libc6
Status: install ok installed
Architecture: amd64
Depends: app

Package: debconf
Status: install ok installed
Architecture: all
";

    #[test]
    fn a_closure_takes_what_is_installed() {
        let status = Status::parse(STATUS, "amd64");
        let closure = status.closure("app").unwrap();
        assert_eq!(
            closure.into_iter().collect::<Vec<_>>(),
            ["app", "libc6", "libx2", "mawk"]
        );
        assert_eq!(status.packages["libc6"].architecture, "amd64");
        let error = status.closure("libx1").unwrap_err();
        assert_eq!(
            error.cure().unwrap(),
            "sudo apt-get install --no-install-recommends libx1"
        );
    }

    #[test]
    fn alternatives_and_diversions_are_read() {
        let text = "auto\n/usr/bin/cc\ncc.1.gz\n/usr/share/man/man1/cc.1.gz\n\n/usr/bin/gcc\n20\n";
        let found = parse_alternative("cc", text);
        assert_eq!(found[0], ("cc".to_owned(), "/usr/bin/cc".into()));
        assert_eq!(found.len(), 2);
        let diverted = parse_diversions("/usr/bin/a\n/usr/bin/a.real\nother\n");
        assert_eq!(
            diverted[Path::new("/usr/bin/a")],
            ("/usr/bin/a.real".into(), "other".to_owned())
        );
    }
}
