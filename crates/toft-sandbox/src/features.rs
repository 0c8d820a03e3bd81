//! What this machine can do for a sandbox.
