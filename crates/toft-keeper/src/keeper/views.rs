//! Prepared mount namespaces: one for each content, shared by the instances that use it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use toft_model::sandbox::Mount;

/// What a view is known by: its content.
pub(crate) type Key = Rc<str>;

#[derive(Debug)]
struct View {
    users: usize,
    namespace: Option<OwnedFd>,
    mounts: Vec<Mount>,
}

/// All views that are used now.
#[derive(Debug, Default)]
pub(crate) struct Views {
    by_key: BTreeMap<Key, View>,
}

impl Views {
    /// Counts one user more. True when the view is a new one, which has to be prepared.
    pub(crate) fn want(&mut self, mounts: Vec<Mount>) -> Result<(Key, bool), serde_json::Error> {
        let key: Key = serde_json::to_string(&mounts)?.into();
        if let Some(view) = self.by_key.get_mut(&key) {
            view.users += 1;
            return Ok((key, false));
        }
        self.by_key.insert(
            key.clone(),
            View {
                users: 1,
                namespace: None,
                mounts,
            },
        );
        Ok((key, true))
    }

    /// Counts one user more of a view that is in use: it is kept for good.
    pub(crate) fn keep(&mut self, key: &Key) {
        if let Some(view) = self.by_key.get_mut(key) {
            view.users += 1;
        }
    }

    /// The content of a view that is still to be prepared.
    pub(crate) fn mounts(&self, key: &Key) -> Option<&[Mount]> {
        self.by_key.get(key).map(|view| view.mounts.as_slice())
    }

    /// The spawner made it. Nobody may want it any more: then it is closed again.
    pub(crate) fn prepared(&mut self, key: &Key, namespace: OwnedFd) {
        if let Some(view) = self.by_key.get_mut(key) {
            view.namespace = Some(namespace);
        }
    }

    /// The namespace, once it is prepared.
    pub(crate) fn namespace(&self, key: &Key) -> Option<&OwnedFd> {
        self.by_key.get(key)?.namespace.as_ref()
    }

    /// Counts one user less; the last one takes the view along.
    pub(crate) fn release(&mut self, key: &Key) {
        let Some(view) = self.by_key.get_mut(key) else {
            return;
        };
        view.users -= 1;
        if view.users == 0 {
            self.by_key.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toft_model::sandbox::Source;

    #[test]
    fn one_content_is_one_view_and_the_last_user_ends_it() {
        let mounts = |name: &str| {
            vec![Mount {
                target: name.into(),
                source: Source::Dir,
            }]
        };
        let mut views = Views::default();
        let (a, new) = views.want(mounts("/a")).unwrap();
        assert!(new);
        assert_eq!(views.want(mounts("/a")).unwrap(), (a.clone(), false));
        let (b, new) = views.want(mounts("/b")).unwrap();
        assert!(new && a != b);
        views.release(&a);
        assert!(views.mounts(&a).is_some());
        views.release(&a);
        assert!(views.mounts(&a).is_none());
        let (_, new) = views.want(mounts("/a")).unwrap();
        assert!(new);
    }
}
