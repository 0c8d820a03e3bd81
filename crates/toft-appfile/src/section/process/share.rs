//! What a process sees and how much it may use: `files` and `limits`.

use crate::decoder::{Decoder, Item, either};
use crate::index::Target;
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::piece::Piece;
use crate::value::name::name;
use crate::value::path::{host_path, inside};
use crate::value::quantity::{bytes, bytes_in, cpu};
use std::collections::BTreeMap;
use toft_model::app::{FileGrant, HostPath};
use toft_model::sandbox::Limits;
use toft_model::unit::Bytes;

/// The least memory in which anything at all starts.
const LEAST_MEMORY: Bytes = Bytes(1 << 20);

/// `[process.NAME.files]`.
pub(super) fn files(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<BTreeMap<String, FileGrant>> {
    let mut all = BTreeMap::new();
    let table = d.table(item)?;
    for item in d.items(table, &item.path) {
        let target = Piece::new(d.sources, item.key_at, item.key);
        let target = inside(d, &target);
        if let (Some(target), Some(grant)) = (target, grant(d, &item)) {
            all.insert(target, grant);
        }
    }
    Some(all)
}

fn grant(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<FileGrant> {
    const KINDS: [&str; 4] = ["read:", "write:", "volume:", "scratch:"];
    let piece = d.full_text(item, "read:./static")?;
    if let Some(path) = piece.strip_prefix("read:") {
        return shown_path(d, &path).map(FileGrant::Read);
    }
    if let Some(path) = piece.strip_prefix("write:") {
        return shown_path(d, &path).map(FileGrant::Write);
    }
    if let Some(volume) = piece.strip_prefix("volume:") {
        let name = name(d, &volume, "a volume's name")?;
        d.refer(volume.at(), Target::Volume(volume.text.to_owned()));
        return Some(FileGrant::Volume(name));
    }
    if let Some(size) = piece.strip_prefix("scratch:") {
        return bytes_in(d, &size, &item.path, Bytes(4096)).map(FileGrant::Scratch);
    }
    let title = format!("`{}` does not say how it is shared", piece.text);
    let (at, near) = match piece.split_once(":") {
        Some((kind, _)) => (
            kind,
            nearest(kind.text, KINDS.map(|kind| kind.trim_end_matches(':'))),
        ),
        None => (piece, None),
    };
    let words: Vec<String> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
    let mistake = Mistake::not_understood(at.at(), title, "not one of its words")
        .help(format!("it starts with {}", either(&words)));
    d.refuse(mistake.meant(near))
}

/// A path to show; one that is not in the folder now is warned of, since a build may make it.
fn shown_path(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<HostPath> {
    let path = host_path(d, piece)?;
    if let HostPath::Project(inner) = &path
        && !inner.is_empty()
        && !d.folder.exists(inner)
    {
        let help = "the build may make it; if nothing does, the start is refused";
        d.warnings
            .push(Mistake::absent(piece.at(), &path.to_string()).help(help));
    }
    Some(path)
}

pub(super) fn limits(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Limits> {
    let mut f = d.fields(item)?;
    let limits = Limits {
        memory: f
            .get(d, "memory")
            .and_then(|item| bytes(d, &item, LEAST_MEMORY)),
        cpu: f.read(d, "cpu", cpu),
        // The kernel's own bound on process ids (PID_MAX_LIMIT).
        pids: f
            .get(d, "pids")
            .and_then(|item| d.whole(&item, 1..=4_194_304)),
        // The kernel's own bound on open files (sysctl fs.nr_open), as it stands by default.
        open_files: f
            .get(d, "open_files")
            .and_then(|item| d.whole(&item, 16..=1_048_576)),
    };
    f.finish(d);
    Some(limits)
}
