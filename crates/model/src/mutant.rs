//! Known-bad variants of the code, for proving that the tests notice. Never ship a build with the feature `mutants`.

/// Whether this process is to be the variant of this name: the environment variable `TASKYARD_MUTANT` says so, in a build with the feature.
#[cfg(feature = "mutants")]
#[allow(
    clippy::disallowed_methods,
    reason = "one build holds all variants, so the choice comes from outside"
)]
pub fn is_mutant(name: &str) -> bool {
    std::env::var_os("TASKYARD_MUTANT").is_some_and(|chosen| chosen == name)
}

/// Always false: this build holds no variants.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is_mutant(_name: &str) -> bool {
    false
}
