//! The kernel floor: real namespaces, real mounts, real filters.

mod help;
mod root;
