//! A folder with `Cargo.toml`.

use super::{DetectError, Kind, Plan, process, toml_table};
use std::path::Path;

struct Package {
    name: String,
    binaries: Vec<String>,
    default_run: Option<String>,
}

pub(super) fn plan(folder: &Path, started: bool) -> Result<Plan, DetectError> {
    let manifest = toml_table(folder, "Cargo.toml")?;
    let mut packages = Vec::new();
    if let Some(package) = package(folder, &manifest) {
        packages.push(package);
    } else {
        for member in members(folder, &manifest) {
            let manifest = toml_table(&member, "Cargo.toml")?;
            packages.extend(package(&member, &manifest));
        }
    }
    let Some((package, binary)) = choose(&packages) else {
        if started {
            let mut plan = Plan::new(Kind::Rust, "Rust app: Cargo.toml");
            plan.build = Some(process("cargo build --release", &["rust", "certs"]));
            return Ok(plan);
        }
        return Err(unclear(folder, &packages));
    };
    let mut plan = Plan::new(
        Kind::Rust,
        format!("Rust app: Cargo.toml, binary `{binary}`"),
    );
    plan.fact(
        "Cargo.toml",
        format!("package `{}`, binary `{binary}`", package.name),
    );
    plan.name = Some(binary.clone());
    let several = packages.iter().map(|p| p.binaries.len()).sum::<usize>() > 1;
    let only = if several {
        format!(" --bin {binary}")
    } else {
        String::new()
    };
    plan.build = Some(process(
        format!("cargo build --release{only}"),
        &["rust", "certs"],
    ));
    plan.web(format!("{}/release/{binary}", target_dir(folder)), &[]);
    Ok(plan)
}

/// Where cargo puts its results, as far as the folder itself says.
fn target_dir(folder: &Path) -> String {
    let config = [".cargo/config.toml", ".cargo/config"]
        .iter()
        .find(|name| folder.join(name).is_file())
        .and_then(|name| toml_table(folder, name).ok());
    let build = config
        .as_ref()
        .and_then(|config| config.get("build")?.as_table());
    let key = |name: &str| build.and_then(|build| build.get(name)?.as_str());
    let top = key("target-dir").unwrap_or("target");
    match key("target") {
        Some("host-tuple") => format!("{top}/{}-unknown-linux-gnu", std::env::consts::ARCH),
        Some(target) => format!("{top}/{target}"),
        None => top.to_owned(),
    }
}

/// The one binary that is meant: `default-run`, the only one, or the one with its package's name.
fn choose(packages: &[Package]) -> Option<(&Package, String)> {
    let all: Vec<(&Package, &String)> = packages
        .iter()
        .flat_map(|p| p.binaries.iter().map(move |b| (p, b)))
        .collect();
    let picked = match all.as_slice() {
        [one] => Some(*one),
        _ => {
            let mut preferred = all
                .iter()
                .filter(|(p, b)| p.default_run.as_ref().unwrap_or(&p.name) == *b);
            preferred
                .next()
                .filter(|_| preferred.next().is_none())
                .copied()
        }
    };
    picked.map(|(package, binary)| (package, binary.clone()))
}

fn package(folder: &Path, manifest: &toml::Table) -> Option<Package> {
    let table = manifest.get("package")?.as_table()?;
    let name = table.get("name")?.as_str()?.to_owned();
    let mut binaries: Vec<String> = Vec::new();
    for entry in manifest
        .get("bin")
        .and_then(|bins| bins.as_array())
        .into_iter()
        .flatten()
    {
        binaries.extend(
            entry
                .get("name")
                .and_then(|name| name.as_str())
                .map(str::to_owned),
        );
    }
    if table.get("autobins").and_then(toml::Value::as_bool) != Some(false) {
        if folder.join("src/main.rs").is_file() && !names_main(manifest) {
            binaries.push(name.clone());
        }
        binaries.extend(below_bin(&folder.join("src/bin")));
    }
    binaries.sort();
    binaries.dedup();
    let default_run = table
        .get("default-run")
        .and_then(|run| run.as_str())
        .map(str::to_owned);
    Some(Package {
        name,
        binaries,
        default_run,
    })
}

/// Whether a `[[bin]]` gives `src/main.rs` a name of its own.
fn names_main(manifest: &toml::Table) -> bool {
    let bins = manifest.get("bin").and_then(|bins| bins.as_array());
    bins.into_iter()
        .flatten()
        .any(|bin| bin.get("path").and_then(|path| path.as_str()) == Some("src/main.rs"))
}

fn below_bin(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_binary =
            path.join("main.rs").is_file() || path.extension().is_some_and(|e| e == "rs");
        if let (true, Some(stem)) = (is_binary, path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names
}

/// The folders of a workspace's members; a last `*` stands for every folder there.
fn members(folder: &Path, manifest: &toml::Table) -> Vec<std::path::PathBuf> {
    let workspace = manifest.get("workspace").and_then(|w| w.as_table());
    let key = |name| workspace.and_then(|w| w.get(name)?.as_array());
    let mut found = Vec::new();
    for member in key("default-members")
        .or_else(|| key("members"))
        .into_iter()
        .flatten()
    {
        let Some(member) = member.as_str() else {
            continue;
        };
        match member.strip_suffix("/*") {
            Some(parent) => found.extend(
                std::fs::read_dir(folder.join(parent))
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|e| e.path()),
            ),
            None => found.push(folder.join(member)),
        }
    }
    found.retain(|member| member.join("Cargo.toml").is_file());
    found.sort();
    found
}

fn unclear(folder: &Path, packages: &[Package]) -> DetectError {
    let binaries: Vec<String> = packages.iter().flat_map(|p| p.binaries.clone()).collect();
    let why = if binaries.is_empty() {
        "no package here makes a binary: there is neither src/main.rs nor a [[bin]]".to_owned()
    } else {
        "more than one binary could be the one that serves".to_owned()
    };
    let example = binaries.first().map_or("NAME", String::as_str);
    DetectError::Unclear {
        folder: folder.to_owned(),
        kind: "Rust",
        why,
        next: format!("name it: printf 'web: target/release/{example}\\n' > Procfile"),
        seen: if binaries.is_empty() {
            vec!["Cargo.toml".to_owned()]
        } else {
            binaries
        },
    }
}
