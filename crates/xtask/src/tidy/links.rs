//! Links between the project's pages lead somewhere: to a file, and to a heading where they name one.

use super::Finding;
use crate::tree::File;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in files.iter().filter(|file| file.is_page()) {
        for (line, target) in links(&page.text) {
            if let Some(text) = broken(files, page, &target) {
                findings.push(Finding::wrong(
                    &page.path,
                    line,
                    format!("`{target}`: {text}"),
                ));
            }
        }
    }
    findings
}

/// Targets of `[words](target)` that stay inside the project, with their lines from 1.
fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate() {
        for (start, mark) in line.match_indices("](") {
            let target = line[start + mark.len()..]
                .split(')')
                .next()
                .unwrap_or_default();
            if !target.contains("://") {
                found.push((at + 1, target.to_owned()));
            }
        }
    }
    found
}

fn broken(files: &[File], from: &File, target: &str) -> Option<&'static str> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        resolve(&from.path, path)
    };
    let folder = format!("{}/", path.trim_end_matches('/'));
    let Some(page) = files.iter().find(|file| file.path == path) else {
        let is_folder = files.iter().any(|file| file.path.starts_with(&folder));
        return (!is_folder).then_some("there is no such file");
    };
    let there = heading.is_empty()
        || page
            .text
            .lines()
            .filter_map(title)
            .any(|t| anchor(t) == heading);
    (!there).then_some("there is no such heading")
}

/// A relative path as seen from the page `from`, from the root.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn title(line: &str) -> Option<&str> {
    line.starts_with('#')
        .then(|| line.trim_start_matches('#').trim())
}

/// How a heading is addressed: lower case, hyphens for spaces, other marks left out.
fn anchor(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_a_folder_or_a_heading() {
        let found = check(&files(
            "\
=== README.md
# Read me
[a](docs/a.md) [b](docs) [c](https://example.com/x.md) [d](docs/b.md)
=== docs/a.md
## E0101: it's `TOML`, or not
[up](../README.md#read-me) [here](#e0101-its-toml-or-not) [gone](#gone) [out](../x.md)
",
        ));
        insta::assert_snapshot!(text(&found), @"
        wrong: README.md:2: `docs/b.md`: there is no such file
        wrong: docs/a.md:2: `#gone`: there is no such heading
        wrong: docs/a.md:2: `../x.md`: there is no such file
        ");
    }
}
