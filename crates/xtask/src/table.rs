//! Tables in the project's pages that chores read.
//!
//! A table is found by its header row, so that a page may say around it what it likes.

/// One row: the line it stands on, from 1, and its cells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

/// The rows of all tables whose header has exactly these cells; `None` when there is none.
pub(crate) fn find(page: &str, header: &[&str]) -> Option<Vec<Row>> {
    let lines: Vec<&str> = page.lines().collect();
    let headers = (0..lines.len()).filter(|at| cells(lines[*at]) == header);
    let tables: Vec<Vec<Row>> = headers.map(|at| below(&lines, at)).collect();
    (!tables.is_empty()).then(|| tables.into_iter().flatten().collect())
}

/// The rows of the table whose header stands at this line, from 0.
fn below(lines: &[&str], header: usize) -> Vec<Row> {
    let rows = lines
        .iter()
        .enumerate()
        .skip(header + 2) // the rule under the header too
        .take_while(|(_, line)| line.trim_start().starts_with('|'))
        .map(|(at, line)| Row {
            line: at + 1,
            cells: cells(line),
        });
    rows.collect()
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
    fn tables_are_found_by_their_header() {
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
        let twice = format!("{PAGE}{PAGE}");
        assert_eq!(
            find(&twice, &["crate", "may know"]).map(|rows| rows.len()),
            Some(4)
        );
    }

    #[test]
    fn ticked_words_are_those_in_backticks() {
        assert_eq!(ticked("`a`, and `b c`."), ["a", "b c"]);
        assert_eq!(ticked("nothing"), [""; 0]);
    }
}
