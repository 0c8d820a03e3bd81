//! “Did you mean”: the known word that is nearest to an unknown one.

/// What other tools call a key of ours. Counts only where the table has that key.
pub(crate) fn in_our_words(word: &str) -> Option<&'static str> {
    const WORDS: &[(&str, &str)] = &[
        ("cmd", "run"),
        ("command", "run"),
        ("entrypoint", "run"),
        ("exec", "run"),
        ("script", "run"),
        ("start", "run"),
        ("instances", "count"),
        ("quantity", "count"),
        ("replicas", "count"),
        ("scale", "count"),
        ("packages", "use"),
        ("health", "ready"),
        ("health_check", "ready"),
        ("healthcheck", "ready"),
        ("liveness", "alive"),
        ("readiness", "ready"),
        ("expose", "listen"),
        ("port", "listen"),
        ("ports", "listen"),
        ("mounts", "files"),
        ("volumes", "files"),
        ("resources", "limits"),
        ("logging", "log"),
        ("name", "app"),
        ("processes", "process"),
        ("service", "process"),
        ("services", "process"),
        ("domains", "route"),
        ("hosts", "route"),
        ("crons", "schedule"),
        ("jobs", "schedule"),
        ("cron", "at"),
        ("timeout", "limit"),
        ("timezone", "zone"),
        ("tz", "zone"),
        ("interval", "every"),
        ("target", "to"),
        ("upstream", "to"),
        ("interfaces", "on"),
        ("capacity", "size"),
    ];
    WORDS
        .iter()
        .find(|(theirs, _)| *theirs == word)
        .map(|(_, ours)| *ours)
}

/// The table within a process in which a key stands that was written beside it.
pub(crate) fn table_of(key: &str) -> Option<&'static str> {
    match key {
        "memory" | "cpu" | "pids" | "open_files" => Some("limits"),
        "signal" | "grace" => Some("stop"),
        "rate" => Some("log"),
        _ => None,
    }
}

/// The candidate within a third of the word's length in edits (at least one edit is always near
/// enough for words of three letters and more), the nearest first, ties by order.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let folded = fold(word);
    let allowed = (folded.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
                || is_longer_form(&folded, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `env` for `environment`, `proc` for `process`: one begins with the other.
fn is_longer_form(folded: &[char], candidate: &str) -> bool {
    let candidate = fold(candidate);
    let shorter = folded.len().min(candidate.len());
    shorter >= 3 && folded[..shorter] == candidate[..shorter]
}

/// Case and the kind of hyphen do not make words different.
fn fold(word: &str) -> Vec<char> {
    word.chars()
        .take(64)
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Edits from one word to the other: insert, delete, replace, swap neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0usize; (a.len() + 1) * width];
    for (i, row) in rows.chunks_mut(width).enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[..width].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let inserted = rows[i * width + j - 1] + 1;
            let deleted = rows[(i - 1) * width + j] + 1;
            let mut best = replaced.min(inserted).min(deleted);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[(i - 2) * width + j - 2] + 1);
            }
            rows[i * width + j] = best;
        }
    }
    rows[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_wins() {
        let keys = ["count", "connect", "run", "ready", "ready_within", "env"];
        assert_eq!(nearest("conut", keys), Some("count"));
        assert_eq!(nearest("Count", keys), Some("count"));
        assert_eq!(nearest("ready-within", keys), Some("ready_within"));
        assert_eq!(nearest("environment", keys), Some("env"));
        assert_eq!(nearest("rum", keys), Some("run"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
