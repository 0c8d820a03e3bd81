//! Tables in the project's pages that chores read.
//!
//! A table is found by its header row, so that a page may say around it what it likes.

/// One row: the line it stands on, from 1, and its cells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// The rows of the first table whose header has exactly these cells; `None` when there is none.
pub(crate) fn find(page: &str, header: &[&str]) -> Option<Vec<Row>> {
    let mut lines = page
        .lines()
        .enumerate()
        .skip_while(|(_, line)| cells(line) != header);
    lines.next()?;
    let rows = lines
        .skip(1) // the rule under the header
        .take_while(|(_, line)| line.trim_start().starts_with('|'))
        .map(|(at, line)| Row {
            line: at + 1,
            cells: cells(line),
        });
    Some(rows.collect())
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line
        .trim()
        .strip_prefix('|')
        .and_then(|l| l.strip_suffix('|'))
    else {
        return Vec::new();
    };
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// The words in backticks of one cell.
pub(crate) fn ticked(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# a page

| crate | may know |
|---|---|
| `a` | nothing |
| `b` | `a`, `c` |

| crate | other |
|---|---|
| `z` | `a` |
";

    #[test]
    fn a_table_is_found_by_its_header() {
        let rows = find(PAGE, &["crate", "may know"]).expect("it is there");
        assert_eq!(rows.len(), 2);
        assert_eq!(
            rows[1],
            Row {
                line: 6,
                cells: vec!["`b`".into(), "`a`, `c`".into()]
            }
        );
        assert_eq!(
            find(PAGE, &["crate", "other"]).expect("it is there").len(),
            1
        );
        assert_eq!(find(PAGE, &["crate", "absent"]), None);
    }

    #[test]
    fn ticked_words_are_those_in_backticks() {
        assert_eq!(ticked("`a`, and `b c`."), ["a", "b c"]);
        assert_eq!(ticked("nothing"), [""; 0]);
    }
}
