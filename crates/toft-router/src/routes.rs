//! The routing table, ready to be looked up, and its copy on disk.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use toft_model::table::{HostMatch, Route, Table, Upstream};

/// A table that every thread reads and nobody changes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Counts tables as they came, whatever their revision says.
    pub(crate) sequence: u64,
    pub(crate) upstreams: Vec<Upstream>,
    exact: HashMap<Vec<u8>, Paths>,
    any: Paths,
    local_names: String,
}

/// Path prefixes, longest first, with the index of their upstream.
type Paths = Vec<(String, usize)>;

impl Routes {
    /// A route to an upstream that the table does not have leads nowhere.
    pub(crate) fn new(table: &Table, sequence: u64) -> Self {
        let mut routes = Self {
            sequence,
            upstreams: table.upstreams.clone(),
            ..Self::default()
        };
        for route in &table.routes {
            if let Some(index) = table.upstreams.iter().position(|up| up.id == route.to) {
                routes.add(route, index);
            }
        }
        routes.exact.values_mut().for_each(sort);
        sort(&mut routes.any);
        routes.local_names = local_names(&routes.exact);
        routes
    }

    fn add(&mut self, route: &Route, index: usize) {
        let paths = match &route.host {
            HostMatch::Exact(name) => self
                .exact
                .entry(name.to_ascii_lowercase().into_bytes())
                .or_default(),
            HostMatch::Any => &mut self.any,
        };
        paths.push((route.path.trim_end_matches('/').to_owned(), index));
    }

    /// The upstream for a host name in lower case and a path. Routes of the very name come first,
    /// longer prefixes come before shorter ones.
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Option<usize> {
        let exact = self.exact.get(host).and_then(|paths| best(paths, path));
        exact.or_else(|| best(&self.any, path))
    }

    /// Whether nothing was ever published: the first app is still being built.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// The names below `.localhost`, for the page that says that there is no route. They are the
    /// person's own; the others are nobody's business.
    pub(crate) fn local_names(&self) -> &str {
        &self.local_names
    }
}

fn local_names(exact: &HashMap<Vec<u8>, Paths>) -> String {
    let mut names: Vec<_> = exact
        .keys()
        .map(|name| String::from_utf8_lossy(name))
        .collect();
    names.retain(|name| name.ends_with(".localhost"));
    names.sort();
    names.join(", ")
}

fn sort(paths: &mut Paths) {
    paths.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
}

fn best(paths: &Paths, path: &[u8]) -> Option<usize> {
    paths
        .iter()
        .find(|(prefix, _)| covers(prefix.as_bytes(), path))
        .map(|(_, index)| *index)
}

/// `/api` covers `/api` and `/api/x`, not `/apix`.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest[0] == b'/',
        None => false,
    }
}

const FILE: &str = "table.json";

/// The table that was kept, `None` when there is none.
pub(crate) fn load(state: &Path) -> io::Result<Option<Table>> {
    match fs::read(state.join(FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the table: whole or not at all, whatever happens in between.
pub(crate) fn save(state: &Path, table: &Table) -> io::Result<()> {
    let new = state.join("table.json.new");
    let bytes = serde_json::to_vec(table).map_err(io::Error::other)?;
    let mut file = fs::File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    fs::rename(&new, state.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toft_model::table::UpstreamId;

    fn table() -> Table {
        let id = |app: &str| UpstreamId {
            app: app.parse().unwrap(),
            door: "http".parse().unwrap(),
        };
        let route = |host: Option<&str>, path: &str, app: &str| Route {
            host: host.map_or(HostMatch::Any, |name| HostMatch::Exact(name.to_owned())),
            path: path.to_owned(),
            to: id(app),
        };
        let apps = ["a", "b", "c", "d"];
        Table {
            revision: 7,
            routes: vec![
                route(Some("one.test"), "", "a"),
                route(Some("one.test"), "/api", "b"),
                route(Some("one.test"), "/api/v2/", "c"),
                route(None, "", "d"),
                route(Some("lost.test"), "", "gone"),
            ],
            upstreams: apps
                .iter()
                .map(|app| Upstream {
                    id: id(app),
                    ready: vec![],
                })
                .collect(),
        }
    }

    #[test]
    fn the_very_name_and_the_longest_prefix_win() {
        let routes = Routes::new(&table(), 1);
        let find = |host: &str, path: &str| {
            routes
                .find(host.as_bytes(), path.as_bytes())
                .map(|index| routes.upstreams[index].id.app.as_str())
        };
        assert_eq!(find("one.test", "/"), Some("a"));
        assert_eq!(find("one.test", "/apix"), Some("a"));
        assert_eq!(find("one.test", "/api"), Some("b"));
        assert_eq!(find("one.test", "/api/x"), Some("b"));
        assert_eq!(find("one.test", "/api/v2"), Some("c"));
        assert_eq!(find("one.test", "/api/v22"), Some("b"));
        assert_eq!(find("other.test", "/api"), Some("d"));
        assert_eq!(find("lost.test", "/"), Some("d"));
        assert_eq!(find("one.test", "*"), Some("a"));
    }

    #[test]
    fn the_table_comes_back_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        save(folder.path(), &table()).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(table()));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(load(folder.path()).is_err());
    }
}
