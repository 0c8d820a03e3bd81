//! Paths: of the project, of the machine, inside of the sandbox.

use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::piece::Piece;
use toft_model::app::{CachePath, HostPath};

/// Places inside that Toft makes itself, with all below them.
const OWN: [&str; 4] = ["/proc", "/sys", "/dev", "/run/toft"];

/// Single places inside that Toft makes itself; other things may stand below the folders among them.
const MADE: [&str; 11] = [
    "/",
    "/app",
    "/etc",
    "/etc/group",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/mtab",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/run",
];

/// A path of the project or of the machine.
pub(crate) fn host_path(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<HostPath> {
    if piece.text.starts_with('/') {
        let text = absolute(d, piece)?;
        return Some(HostPath::Machine(text));
    }
    relative(d, piece, "the app's folder").map(HostPath::Project)
}

/// A path below the project folder, as the app file writes them: `./static`, or `static`.
pub(crate) fn project_path(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<String> {
    if piece.text.starts_with('/') {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{}` is outside of the app's folder", piece.text),
            "not in the project",
        );
        return d.refuse(mistake.help("write it from the app's folder on: `./…`"));
    }
    relative(d, piece, "the app's folder")
}

/// What a build keeps.
pub(crate) fn cache_path(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<CachePath> {
    let piece = d.full_text(item, "~/.cache/pip")?;
    let home = piece.strip_prefix("~/");
    let (piece, what) = (
        home.unwrap_or(piece),
        if home.is_some() {
            "the build's home"
        } else {
            "the app's folder"
        },
    );
    let path = if home.is_some() {
        relative(d, &piece, what)?
    } else {
        project_path(d, &piece)?
    };
    if path.is_empty() {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{}` is all of {what}", piece.text),
            "name a folder in it",
        );
        return d.refuse(mistake);
    }
    Some(if home.is_some() {
        CachePath::Home(path)
    } else {
        CachePath::Project(path)
    })
}

/// An absolute path inside of the sandbox that may be given something to show.
pub(crate) fn inside(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<String> {
    if !piece.text.starts_with('/') {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{}` is not a path inside of the sandbox", piece.text),
            "it starts with `/`",
        );
        let near = (!piece.text.is_empty() && !piece.text.contains([' ', '~', ':']))
            .then(|| format!("/{}", piece.text.trim_start_matches("./")));
        return d.refuse(mistake.meant(near));
    }
    let path = absolute(d, piece)?;
    let below = |top: &str| {
        path == top
            || path
                .strip_prefix(top)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    if MADE.contains(&path.as_str()) || OWN.iter().any(|top| below(top)) {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{path}` is made by Toft itself"),
            "nothing else can stand here",
        );
        return d.refuse(mistake.help("choose another path, like `/data`"));
    }
    Some(path)
}

/// Checks an absolute path: no `.`, no `..`, nothing doubled, no slash at the end.
fn absolute(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<String> {
    let text = piece.text;
    if text == "/" {
        return Some(text.to_owned());
    }
    if text.contains('\0') {
        return d.refuse(Mistake::bad_path(
            piece.at(),
            "no path can hold a zero byte",
            "not a path",
        ));
    }
    let plain: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if plain.contains(&"..") {
        return d.refuse(Mistake::bad_path(
            piece.at(),
            format!("`{text}` goes up with `..`"),
            "write where it leads",
        ));
    }
    let plain = format!("/{}", plain.join("/"));
    if plain != text {
        return d.refuse(
            Mistake::bad_path(
                piece.at(),
                format!("`{text}` is not in its plain form"),
                "`//`, `/.` or `/` at the end",
            )
            .meant(Some(plain)),
        );
    }
    Some(plain)
}

/// Checks a path below a folder: `./` may stand before it, and it never leaves the folder.
fn relative(d: &mut Decoder<'_>, piece: &Piece<'_>, folder: &str) -> Option<String> {
    let text = piece.text;
    if text.is_empty() {
        return d.refuse(Mistake::bad_path(
            piece.at(),
            "a path is missing",
            "nothing here",
        ));
    }
    if text.contains('\0') {
        return d.refuse(Mistake::bad_path(
            piece.at(),
            "no path can hold a zero byte",
            "not a path",
        ));
    }
    if text.starts_with('~') {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{text}` is outside of {folder}"),
            "nobody's home is reached from here",
        );
        return d.refuse(mistake.help(format!(
            "put what it needs into {folder}, or write the absolute path"
        )));
    }
    let parts: Vec<&str> = text.split('/').collect();
    let mut depth = 0i64;
    let leaves = parts.iter().any(|part| {
        depth += match *part {
            "." | "" => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    });
    if leaves {
        let mistake = Mistake::bad_path(
            piece.at(),
            format!("`{text}` leads out of {folder}"),
            "goes up past it",
        );
        return d.refuse(mistake.help(format!(
            "a relative path stays in {folder}; what lies elsewhere is named by its absolute path"
        )));
    }
    if parts.contains(&"..") {
        return d.refuse(Mistake::bad_path(
            piece.at(),
            format!("`{text}` goes up with `..`"),
            "write where it leads",
        ));
    }
    let inner = parts.strip_prefix(&["."]).unwrap_or(&parts);
    if inner.iter().any(|part| part.is_empty() || *part == ".") {
        let plain: Vec<&str> = inner
            .iter()
            .copied()
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let plain = format!("./{}", plain.join("/"));
        return d.refuse(
            Mistake::bad_path(
                piece.at(),
                format!("`{text}` is not in its plain form"),
                "`//`, `/.` or `/` at the end",
            )
            .meant(Some(plain)),
        );
    }
    Some(inner.join("/"))
}
