//! The parts of a view before they are mounts: which path shows which file of the machine.

use crate::paths::PathMap;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use toft_model::sandbox::{Mount, Source};

/// Links on one path; the kernel follows as many (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// Folders of `/usr` that are shown as a whole where nothing finer can be.
const USR_FOLDERS: [&str; 8] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/include",
];
/// What stands at the top of a machine with merged `/usr`.
const MERGED: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// What is shown at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A file of the machine.
    File(PathBuf),
    /// A folder of the machine with all below it.
    Folder(PathBuf),
    /// A symbolic link.
    Link(PathBuf),
}

/// All parts, by their path inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    parts: PathMap<Part>,
    /// What the machine has at a path, so that shared parents are looked at once.
    seen: HashMap<OsString, Seen>,
    /// Where a folder really is and which links lead there, since many parts share one.
    folders: HashMap<OsString, Option<(PathBuf, Links)>>,
}

/// Links on the way to something, each with what it says.
type Links = Vec<(PathBuf, PathBuf)>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Nothing,
    File,
    Folder,
    Link(PathBuf),
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Part)> {
        self.parts.iter()
    }

    /// Takes back what stands below a folder that another part brings.
    pub(super) fn forget_below(&mut self, top: &Path) {
        self.parts
            .retain(|target| target == top || !target.starts_with(top));
    }

    /// Shows `from` at another place.
    pub(super) fn add_at(&mut self, target: &Path, part: Part) {
        self.parts.insert(target.to_owned(), part);
    }

    /// Shows a file or a whole folder where it is, with the links that lead to it. Returns where it
    /// really is, or `None` when it is not there.
    pub(super) fn add_if_there(&mut self, path: &Path) -> Option<PathBuf> {
        self.add(path, true)
    }

    /// As [`add_if_there`](Self::add_if_there) for a line of a package: folders stand for nothing.
    pub(super) fn add_packaged(&mut self, path: &Path) {
        self.add(path, false);
    }

    fn add(&mut self, path: &Path, folders: bool) -> Option<PathBuf> {
        let mut links = Vec::new();
        let real = self.follow(path, &mut links)?;
        match self.look(&real) {
            Seen::File => self.parts.insert(real.clone(), Part::File(real.clone())),
            Seen::Folder if folders => self.parts.insert(real.clone(), Part::Folder(real.clone())),
            // A package's own link to a folder is a part of it.
            Seen::Folder if links.last().is_some_and(|(link, _)| link == path) => {}
            _ => return Some(real),
        };
        for (link, to) in links {
            self.parts.insert_new(link, Part::Link(to));
        }
        Some(real)
    }

    /// Follows a path as the kernel would, noting each link on it.
    fn follow(&mut self, path: &Path, links: &mut Links) -> Option<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Some(PathBuf::from("/"));
        };
        if !self.folders.contains_key(parent.as_os_str()) {
            let mut on_way = Links::new();
            let real = self.walk(parent, &mut on_way).map(|real| (real, on_way));
            self.folders.insert(parent.into(), real);
        }
        let (real, on_way) = self.folders.get(parent.as_os_str())?.clone()?;
        links.extend(on_way);
        match std::fs::symlink_metadata(real.join(name)) {
            Ok(data) if data.is_symlink() => self.walk(&real.join(name), links),
            Ok(_) => Some(real.join(name)),
            Err(_) => None,
        }
    }

    fn walk(&mut self, path: &Path, links: &mut Links) -> Option<PathBuf> {
        let mut rest: Vec<OsString> = parts_of(path);
        rest.reverse();
        let mut at = PathBuf::from("/");
        while let Some(name) = rest.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            match self.look(&next) {
                Seen::Nothing => return None,
                Seen::File | Seen::Folder => at = next,
                Seen::Link(to) => {
                    if links.len() == LINKS_MAX {
                        return None;
                    }
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    rest.extend(parts_of(&to).into_iter().rev());
                    links.push((next, to));
                }
            }
        }
        Some(at)
    }

    fn look(&mut self, path: &Path) -> Seen {
        if let Some(seen) = self.seen.get(path.as_os_str()) {
            return seen.clone();
        }
        let seen = match std::fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => Seen::Folder,
            Ok(data) if data.is_file() => Seen::File,
            Ok(data) if data.is_symlink() => {
                std::fs::read_link(path).map_or(Seen::Nothing, Seen::Link)
            }
            _ => Seen::Nothing,
        };
        self.seen.insert(path.into(), seen.clone());
        seen
    }

    /// `/bin`, `/lib` … as links, where the machine has them so.
    pub(super) fn add_merged_usr(&mut self) {
        for path in MERGED.map(Path::new) {
            if let Seen::Link(to) = self.look(path) {
                self.parts.insert(path.to_owned(), Part::Link(to));
            }
        }
    }

    /// One mount per part; folders of which every part is shown become one bind.
    pub(super) fn binds(&self) -> Vec<Mount> {
        let mut whole = Whole {
            parts: &self.parts,
            known: HashMap::new(),
        };
        let mut mounts: BTreeMap<PathBuf, Mount> = BTreeMap::new();
        for (target, part) in self.parts.iter() {
            if self.covered(target) {
                continue;
            }
            let top = target
                .ancestors()
                .skip(1)
                .filter(|folder| whole.is(folder))
                .last();
            let (target, part) = match top {
                Some(folder) => (folder.to_owned(), Part::Folder(folder.to_owned())),
                None => (target.to_owned(), part.clone()),
            };
            mounts.insert(target.clone(), mount(target, &part));
        }
        mounts.into_values().collect()
    }

    /// Whether a folder above shows this already.
    pub(super) fn covered(&self, target: &Path) -> bool {
        target
            .ancestors()
            .skip(1)
            .any(|above| matches!(self.parts.get(above), Some(Part::Folder(from)) if from == above))
    }

    /// The machine's folders of `/usr` as a whole, and one mount per part elsewhere.
    pub(super) fn binds_with_whole_usr(&self) -> Vec<Mount> {
        let mut rest = self.clone();
        rest.parts
            .retain(|target| !USR_FOLDERS.iter().any(|folder| target.starts_with(folder)));
        for folder in USR_FOLDERS {
            rest.add_if_there(Path::new(folder));
        }
        rest.add_merged_usr();
        rest.binds()
    }
}

fn parts_of(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

pub(super) fn mount(target: PathBuf, part: &Part) -> Mount {
    let source = match part {
        Part::Link(to) => Source::Link { to: to.clone() },
        Part::File(path) | Part::Folder(path) => Source::Bind {
            exec: !target.starts_with("/etc"),
            path: path.clone(),
            write: false,
            owner: None,
        },
    };
    Mount { target, source }
}

/// How many of the mounts cost the kernel something at each start.
pub(super) fn bind_count(mounts: &[Mount]) -> usize {
    mounts
        .iter()
        .filter(|mount| matches!(mount.source, Source::Bind { .. }))
        .count()
}

/// Finds folders that are shown completely.
struct Whole<'a> {
    parts: &'a PathMap<Part>,
    known: HashMap<OsString, bool>,
}

impl Whole<'_> {
    /// Whether everything in a folder of the machine is shown where it is, bytecode aside. Never
    /// true of a folder that many share, since what is installed there tomorrow would be shown too.
    fn is(&mut self, folder: &Path) -> bool {
        if folder.components().count() < 4 || is_shared(folder) {
            return false;
        }
        if let Some(known) = self.known.get(folder.as_os_str()) {
            return *known;
        }
        // What is asked for again below is no loop: links are not followed.
        let whole = self.look(folder).unwrap_or(false);
        self.known.insert(folder.into(), whole);
        whole
    }

    fn look(&mut self, folder: &Path) -> std::io::Result<bool> {
        // A folder of which nothing is shown is not looked into.
        if !self.parts.has_below(folder) {
            return Ok(false);
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let shown = match self.parts.get(&path) {
                Some(Part::File(from) | Part::Folder(from)) => *from == path,
                Some(Part::Link(_)) => true,
                None if entry.file_name() == "__pycache__" => true,
                None => entry.file_type()?.is_dir() && self.is_below(&path),
            };
            if !shown {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_below(&mut self, folder: &Path) -> bool {
        match self.known.get(folder.as_os_str()) {
            Some(known) => *known,
            None => {
                let whole = self.look(folder).unwrap_or(false);
                self.known.insert(folder.into(), whole);
                whole
            }
        }
    }
}

/// Folders into which many packages install.
fn is_shared(folder: &Path) -> bool {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
        return true;
    };
    let below_lib = folder
        .parent()
        .is_some_and(|parent| parent == Path::new("/usr/lib"));
    folder.starts_with("/usr/local") && folder.components().count() < 5
        || (below_lib && (name.contains("-linux-") || name == "python3"))
        || name == "dist-packages"
}
