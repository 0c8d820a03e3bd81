//! The folder and its file: read, or made up from what lies in the folder.

use crate::failure::{Code, Failure, chain};
use crate::say::Screen;
use rustix::fs::OFlags;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use toft_appfile::{Decoded, Folder, Overrides, Source};
use toft_model::app::AppSpec;
use toft_model::code;

/// The app file's name.
const FILE: &str = "toft.toml";
/// More than any app file needs.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the command line says over the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct OverrideArgs {
    /// Say a value over the file: --set process.web.count=3
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Say an environment variable of every process over the file
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A whole second copy: outside ports, names, volumes and state move by this
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) offset: Option<String>,
}

/// An app's folder, its file decoded.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Absolute, without symbolic links.
    pub(crate) folder: PathBuf,
    /// Everything that the file says.
    pub(crate) spec: AppSpec,
    /// One line on what it is.
    pub(crate) words: String,
    /// The files that its build reads, where that is known.
    pub(crate) build_reads: Option<Vec<PathBuf>>,
}

/// A decoded file and where it came from.
pub(crate) struct Loaded {
    /// The folder, absolute.
    pub(crate) folder: PathBuf,
    /// What it comes to.
    pub(crate) decoded: Decoded,
    /// One line on what it is.
    pub(crate) words: String,
    /// The files that its build reads, where that is known.
    pub(crate) build_reads: Option<Vec<PathBuf>>,
}

impl Project {
    /// Reads or detects; mistakes of the file are printed whole.
    pub(crate) fn load(
        dir: &Path,
        overrides: &OverrideArgs,
        screen: &Screen,
    ) -> Result<Self, Failure> {
        let loaded = load(dir, overrides)?;
        let loaded = loaded.map_err(|report| {
            screen.words(report.render(screen.colour_err).trim_end());
            too_many(&report)
        })?;
        if !loaded.decoded.warnings.is_empty() {
            screen.words(loaded.decoded.warnings.render(screen.colour_err).trim_end());
        }
        Ok(Self {
            folder: loaded.folder,
            spec: loaded.decoded.spec,
            words: loaded.words,
            build_reads: loaded.build_reads,
        })
    }
}

fn too_many(report: &toft_appfile::Report) -> Failure {
    let count = report.len();
    let mistakes = if count == 1 {
        "1 mistake".to_owned()
    } else {
        format!("{count} mistakes")
    };
    Failure::new(
        format!("{mistakes} in the app's file"),
        "nothing was changed",
    )
    .next("toft explain CODE tells more of each")
}

/// Reads or detects. The outer error is about the folder, the inner about the file's words.
pub(crate) fn load(
    dir: &Path,
    overrides: &OverrideArgs,
) -> Result<Result<Loaded, toft_appfile::Report>, Failure> {
    let folder = dir.canonicalize().map_err(|error| {
        Failure::new(
            format!("there is no folder {}", dir.display()),
            error.to_string(),
        )
        .code(Code::Usage)
    })?;
    let told = Overrides {
        set: overrides.set.clone(),
        env: overrides.env.clone(),
        offset: overrides.offset.clone(),
    };
    let path = folder.join(FILE);
    match read_app_file(&path) {
        Ok(text) => {
            let source = Source {
                path: FILE,
                text: &text,
            };
            let decoded = toft_appfile::decode(source, &told, &OnDisk(folder.clone()));
            Ok(decoded.map(|decoded| Loaded {
                folder,
                decoded,
                words: format!("an app with a {FILE}"),
                build_reads: None,
            }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => detect(folder, &told),
        Err(error) => Err(Failure::new(
            format!("{} cannot be read", path.display()),
            chain(&error),
        )),
    }
}

/// Reads an app file. A pipe or a device in its place could keep us waiting, or never end.
fn read_app_file(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path)?;
    let data = file.metadata()?;
    let refuse = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    if !data.is_file() {
        return Err(refuse("it is not a file".to_owned()));
    }
    if data.len() > FILE_BYTES_MAX {
        let why = format!(
            "it has {} bytes, an app file has at most {FILE_BYTES_MAX}",
            data.len()
        );
        return Err(refuse(why));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn detect(
    folder: PathBuf,
    told: &Overrides,
) -> Result<Result<Loaded, toft_appfile::Report>, Failure> {
    let found = toft_code::detect::detect(&folder).map_err(|error| {
        Failure::new(error.to_string(), error.why())
            .seen(error.evidence())
            .next(error.next())
            .id(code::Code::NOT_RECOGNISED)
    })?;
    let source = Source {
        path: "(detected)",
        text: &found.text,
    };
    let decoded = toft_appfile::decode_detected(source, told, &OnDisk(folder.clone()));
    Ok(decoded.map(|decoded| Loaded {
        folder,
        decoded,
        words: found.words,
        build_reads: found.build_reads,
    }))
}

/// The project's folder, for the decoder's questions.
struct OnDisk(PathBuf);

impl Folder for OnDisk {
    fn exists(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    fn is_dir(&self, path: &str) -> bool {
        self.0.join(path).is_dir()
    }
}
