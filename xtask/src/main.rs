//! `cargo xtask …`: what CI and developers run.
fn main() {}
