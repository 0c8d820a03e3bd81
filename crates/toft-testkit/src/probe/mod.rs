//! Hostile probes: what a program in an app tries, what it got, and what that means.
