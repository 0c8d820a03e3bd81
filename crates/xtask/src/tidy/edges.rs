//! The map: which crate may know which, as the table in ARCHITECTURE.md says.

use super::{Finding, page};
use crate::table::{self, Row};
use crate::tree::File;
use std::collections::BTreeSet;

const MAP: &str = "ARCHITECTURE.md";
const HEADER: &[&str] = &["crate", "may know", "in its tests also"];

/// What one row allows.
struct Allowed {
    line: usize,
    name: String,
    always: Edges,
    tests: Edges,
}

enum Edges {
    All,
    Only(BTreeSet<String>),
}

impl Edges {
    fn read(cell: &str) -> Self {
        if cell == "all" {
            Self::All
        } else {
            Self::Only(table::ticked(cell).into_iter().map(str::to_owned).collect())
        }
    }

    fn allow(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names.iter()),
        }
        .into_iter()
        .flatten()
    }
}

/// The dependencies of one crate on others of this project.
struct Crate {
    path: String,
    name: String,
    always: BTreeSet<String>,
    tests: BTreeSet<String>,
}

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let rows = match page(files, MAP).map(|map| table::find(map, HEADER)) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            let header = HEADER.join(" | ");
            return vec![Finding::wrong(
                MAP,
                0,
                format!("no table with the header | {header} |"),
            )];
        }
        Err(missing) => return vec![missing],
    };
    let (crates, mut findings) = crates(files);
    let map: Vec<Allowed> = rows.iter().filter_map(read_row).collect();
    let known: BTreeSet<&str> = crates.iter().map(|c| c.name.as_str()).collect();
    for allowed in &map {
        for name in allowed
            .always
            .names()
            .chain(allowed.tests.names())
            .chain([&allowed.name])
        {
            if !known.contains(name.as_str()) {
                findings.push(Finding::wrong(
                    MAP,
                    allowed.line,
                    format!("there is no crate `{name}`"),
                ));
            }
        }
    }
    for one in &crates {
        match map.iter().find(|allowed| allowed.name == one.name) {
            None => findings.push(Finding::wrong(
                &one.path,
                0,
                format!("`{}` does not stand on the map in {MAP}", one.name),
            )),
            Some(allowed) => findings.extend(compare(one, allowed)),
        }
    }
    findings
}

fn read_row(row: &Row) -> Option<Allowed> {
    let [name, always, tests] = row.cells.as_slice() else {
        return None;
    };
    Some(Allowed {
        line: row.line,
        name: table::ticked(name).first()?.to_string(),
        always: Edges::read(always),
        tests: Edges::read(tests),
    })
}

fn compare(one: &Crate, allowed: &Allowed) -> Vec<Finding> {
    let edge = |to: &String, kind: &str| {
        Finding::wrong(
            &one.path,
            0,
            format!(
                "`{}` may not know `{to}`{kind}; the map is in {MAP}:{}",
                one.name, allowed.line
            ),
        )
    };
    let always = one.always.iter().filter(|to| !allowed.always.allow(to));
    let tests = one
        .tests
        .iter()
        .filter(|to| !allowed.always.allow(to) && !allowed.tests.allow(to));
    always
        .map(|to| edge(to, ""))
        .chain(tests.map(|to| edge(to, ", not even in its tests")))
        .collect()
}

fn crates(files: &[File]) -> (Vec<Crate>, Vec<Finding>) {
    let manifests: Vec<(&File, &str)> = files
        .iter()
        .filter_map(|file| {
            let name = file
                .path
                .strip_prefix("crates/")?
                .strip_suffix("/Cargo.toml")?;
            (!name.contains('/')).then_some((file, name))
        })
        .collect();
    let ours: BTreeSet<&str> = manifests.iter().map(|(_, name)| *name).collect();
    let mut crates = Vec::new();
    let mut findings = Vec::new();
    for (file, name) in &manifests {
        match file.text.parse::<toml::Table>() {
            Ok(manifest) => crates.push(read_manifest(file, name, &manifest, &ours)),
            Err(error) => findings.push(Finding::wrong(&file.path, 0, error.message())),
        }
    }
    (crates, findings)
}

fn read_manifest(file: &File, name: &str, manifest: &toml::Table, ours: &BTreeSet<&str>) -> Crate {
    let per_target = manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
    let mut one = Crate {
        path: file.path.clone(),
        name: name.to_owned(),
        always: BTreeSet::new(),
        tests: BTreeSet::new(),
    };
    for tables in [manifest].into_iter().chain(per_target) {
        let names = |key: &str| {
            let table = tables.get(key).and_then(toml::Value::as_table);
            table
                .into_iter()
                .flat_map(toml::Table::keys)
                .filter(|n| ours.contains(n.as_str()))
                .cloned()
        };
        one.always
            .extend(names("dependencies").chain(names("build-dependencies")));
        one.tests.extend(names("dev-dependencies"));
    }
    one
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    const MAP_OF_THREE: &str = "\
=== ARCHITECTURE.md
| crate | may know | in its tests also |
|---|---|---|
| `a` | nothing | nothing |
| `b` | `a` | `c` |
| `c` | all | nothing |
=== crates/a/Cargo.toml
";

    #[test]
    fn an_edge_that_is_on_the_map_passes() {
        let found = check(&files(&format!(
            "{MAP_OF_THREE}\
=== crates/b/Cargo.toml
[dependencies]
a.workspace = true
serde = \"1\"
[dev-dependencies]
c.workspace = true
=== crates/c/Cargo.toml
[dependencies]
b.workspace = true
"
        )));
        assert_eq!(text(&found), "");
    }

    #[test]
    fn an_edge_that_is_not_on_the_map_is_wrong() {
        let found = check(&files(&format!(
            "{MAP_OF_THREE}\
[dev-dependencies]
b.workspace = true
=== crates/b/Cargo.toml
[target.'cfg(unix)'.dependencies]
c.workspace = true
=== crates/d/Cargo.toml
"
        )));
        insta::assert_snapshot!(text(&found), @"
        wrong: ARCHITECTURE.md:4: there is no crate `c`
        wrong: ARCHITECTURE.md:5: there is no crate `c`
        wrong: crates/a/Cargo.toml: `a` may not know `b`, not even in its tests; the map is in ARCHITECTURE.md:3
        wrong: crates/d/Cargo.toml: `d` does not stand on the map in ARCHITECTURE.md
        ");
    }

    #[test]
    fn a_map_without_its_table_is_wrong() {
        let found = check(&files("=== ARCHITECTURE.md\n# no table\n"));
        assert_eq!(
            text(&found),
            "wrong: ARCHITECTURE.md: no table with the header | crate | may know | in its tests also |\n"
        );
    }
}
