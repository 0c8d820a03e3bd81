//! `toft explain CODE`: what an error code means and what to do, from the pages in `docs/errors/`.

use crate::failure::{Code, Failure};
use crate::say::Screen;

const PAGES: [&str; 5] = [
    include_str!("../../../docs/errors/app-file.md"),
    include_str!("../../../docs/errors/start.md"),
    include_str!("../../../docs/errors/build.md"),
    include_str!("../../../docs/errors/ports.md"),
    include_str!("../../../docs/errors/running.md"),
];

/// What an error code means and what to do about it
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A code, like E0501; without one, all are listed
    code: Option<String>,
}

/// Prints the section of one code, or the list of all when none is named.
pub(crate) fn run(args: &ExplainArgs, screen: Screen) -> Result<(), Failure> {
    let Some(code) = &args.code else {
        titles().for_each(|title| screen.data(title));
        return Ok(());
    };
    let wanted = code.trim().to_ascii_uppercase();
    let section = PAGES
        .iter()
        .find_map(|page| section(page, &wanted))
        .ok_or_else(|| unknown(code))?;
    screen.data(section);
    Ok(())
}

fn unknown(code: &str) -> Failure {
    Failure::new(
        format!("no error has the code `{code}`"),
        "codes look like E0501 and stand beside an error's first line",
    )
    .next("toft explain, for all codes")
    .code(Code::Usage)
}

/// The first lines of all sections, without their marks: `E0101: the text is not TOML`.
fn titles() -> impl Iterator<Item = &'static str> {
    PAGES
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(|line| line.strip_prefix("## "))
}

/// The section that a code heads, to the next one.
fn section<'a>(page: &'a str, code: &str) -> Option<&'a str> {
    let start = page
        .match_indices("## ")
        .map(|(at, mark)| at + mark.len())
        .find(|at| {
            let title = &page[*at..];
            title
                .strip_prefix(code)
                .is_some_and(|rest| rest.starts_with(':'))
        })?;
    let rest = &page[start..];
    Some(
        rest.find("\n## ")
            .map_or(rest, |end| &rest[..end])
            .trim_end(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_section_and_only_its_own() {
        let page = "# Top\n\n## E0001: one\n\ntext\n\n## E0002: two\n\nmore\n";
        assert_eq!(section(page, "E0001"), Some("E0001: one\n\ntext"));
        assert_eq!(section(page, "E0002"), Some("E0002: two\n\nmore"));
        assert_eq!(section(page, "E000"), None);
    }

    #[test]
    fn every_title_is_found_by_its_code() {
        for title in titles() {
            let (code, _) = title.split_once(':').expect("a title starts with its code");
            let found = PAGES.iter().find_map(|page| section(page, code));
            assert!(found.is_some_and(|text| text.starts_with(title)), "{title}");
        }
    }
}
