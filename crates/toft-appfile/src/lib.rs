//! The app file: text to model, every mistake reported where it stands.
//!
//! [`decode`] reads the whole file and the command line's [`Overrides`] by one set of rules. Either
//! everything is right, and the result is an [`AppSpec`] with each value's origin, or nothing is,
//! and the [`Report`] names every mistake at once. A syntax error hides no other mistake: each
//! statement is read on its own.
//!
//! The crate does no IO. What it has to know of the app's folder it asks through [`Folder`].

mod capabilities;
mod decoder;
mod explain;
mod index;
mod leaves;
mod mistake;
#[cfg(any(test, feature = "mutate"))]
pub mod mutate;
mod near;
mod node;
mod overrides;
mod piece;
mod report;
mod section;
mod source;
mod statement;
mod syntax;
mod value;

pub use capabilities::{Ability, Capabilities};
pub use explain::{Explained, ExplainedValue};
pub use mistake::Code;
pub use overrides::{OFFSET_MAX, Overrides};
pub use report::{Entry, Related, Report};
pub use source::{Origin, Source};

use decoder::Decoder;
use mistake::Mistake;
use source::{Kind, Place, Sources};
use toft_model::app::AppSpec;

/// What the decoder asks about the folder of the app. Paths are relative to it, without `.` and `..`.
pub trait Folder {
    /// Whether something of this name is there.
    fn exists(&self, path: &str) -> bool;
    /// Whether it is a folder.
    fn is_dir(&self, path: &str) -> bool;
}

/// A folder of which nothing is known: every file is taken to be there.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyFolder;

impl Folder for AnyFolder {
    fn exists(&self, _path: &str) -> bool {
        true
    }

    fn is_dir(&self, _path: &str) -> bool {
        false
    }
}

/// A good app file.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// What it says, with everything filled in.
    pub spec: AppSpec,
    /// Each value's origin.
    pub explained: Explained,
    /// What is right, but may not be what was meant.
    pub warnings: Report,
}

/// Reads an app file and the overrides over it. Refuses what this build cannot do yet.
pub fn decode(
    source: Source<'_>,
    overrides: &Overrides,
    folder: &dyn Folder,
) -> Result<Decoded, Report> {
    decode_with(source, overrides, folder, Capabilities::now())
}

/// As [`decode`], with a choice of what is accepted.
pub fn decode_with(
    source: Source<'_>,
    overrides: &Overrides,
    folder: &dyn Folder,
    capabilities: Capabilities,
) -> Result<Decoded, Report> {
    read(Kind::File, source, overrides, folder, capabilities)
}

/// Reads the app file that stands for a folder without one; every value of it is called “detected”.
///
/// `source.path` is what stands before a line and column should the text have a mistake.
pub fn decode_detected(
    source: Source<'_>,
    overrides: &Overrides,
    folder: &dyn Folder,
) -> Result<Decoded, Report> {
    read(
        Kind::Detected,
        source,
        overrides,
        folder,
        Capabilities::now(),
    )
}

fn read(
    kind: Kind,
    source: Source<'_>,
    overrides: &Overrides,
    folder: &dyn Folder,
    capabilities: Capabilities,
) -> Result<Decoded, Report> {
    let mut sources = Sources::default();
    let mut mistakes = Vec::new();
    let file = sources.add(kind, source.path.to_owned(), source.text);
    let mut root = syntax::read(file, source.text, &mut mistakes);
    let offset = overrides::apply(overrides, &mut root, &mut sources, &mut mistakes);

    let mut decoder = Decoder::new(&sources, folder, capabilities);
    decoder.mistakes = mistakes;
    let start = Place {
        source: file,
        start: 0,
        end: 0,
    };
    let spec = section::app(&mut decoder, &root, start, offset);
    decoder.resolve();
    decoder.unused_volumes(spec.as_ref());
    let Decoder {
        mut mistakes,
        warnings,
        mut written,
        ..
    } = decoder;
    if let (Some(at), Some(text)) = (offset.1, &overrides.offset) {
        written.insert(
            "offset".to_owned(),
            decoder::Written {
                at,
                text: text.clone(),
            },
        );
    }
    drop_echoes(&mut mistakes);
    match spec {
        Some(spec) if mistakes.is_empty() => {
            let explained = Explained::new(&spec, capabilities, &written, &sources);
            Ok(Decoded {
                spec,
                explained,
                warnings: Report::new(sources, warnings, true),
            })
        }
        _ => Err(Report::new(sources, mistakes, false)),
    }
}

/// What stands twice is one mistake; that it is not possible yet either need not be said as well.
fn drop_echoes(mistakes: &mut Vec<Mistake>) {
    let twice: Vec<Place> = mistakes
        .iter()
        .filter(|mistake| mistake.code == "E0110")
        .flat_map(|mistake| mistake.also.iter().map(|(at, _)| *at).chain([mistake.at]))
        .collect();
    let inside = |at: Place, outer: Place| {
        at.source == outer.source && outer.start <= at.start && at.end <= outer.end
    };
    mistakes.retain(|mistake| {
        mistake.code != "E0112" || !twice.iter().any(|outer| inside(mistake.at, *outer))
    });
}
