//! What is exempt, each with its reason.

/// Files that may hold `unsafe`, as beginnings and ends of their path.
pub const UNSAFE: [(&str, &str); 3] = [
    // Spawning cheaply needs calls that no safe wrapper offers; audited as a whole.
    ("crates/agent/src/", "spawn.rs"),
    // Tests: signals to process groups and death with the parent; a library that is preloaded to play a bad disk.
    ("crates/taskyard/tests/blackbox/common/", ".rs"),
    ("crates/taskyard/tests/blackbox/shim/", ".rs"),
];

/// What tests compare output with: it is as it is.
pub const GOLDEN: &str = "golden";

/// Files longer than the limit: tables and generated text.
pub const LONG_FILES: [&str; 0] = [];

/// Functions longer than the limit, with the most lines they may have. Only ever lowered.
pub const LONG_FUNCTIONS: [(&str, &str, usize); 0] = [];

/// What pure crates may use besides each other.
pub const PURE_MAY_USE: [&str; 4] = ["imbl", "minicbor", "thiserror", "xxhash-rust"];

/// Libraries named in one crate only.
pub const NAMED_ONCE: [(&str, &str); 2] = [("openraft", "consensus"), ("object_store", "backup")];

/// Licences that need nothing of us but their text.
pub const LICENCES: [&str; 16] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MPL-2.0+",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Where prose is still to be brought to the rules of comments and documents. Only ever shortened.
pub const PROSE: [&str; 7] = [
    "crates/agent",
    "crates/consensus",
    "crates/model",
    "crates/sched",
    "crates/server",
    "crates/state",
    "crates/taskyard/tests",
];

/// Types of different things that share a name. Only ever shortened: see `docs/glossary.md`.
#[rustfmt::skip]
pub const TWICE_NAMED: &[&str] = &[
    "Appending",
    "Asked",
    "Bad",
    "Book",
    "Bounds",
    "Change",
    "Cluster",
    "Comparison",
    "Config",
    "Connection",
    "Core",
    "Drawn",
    "End",
    "Factors",
    "Failure",
    "Fields",
    "Found",
    "Header",
    "Health",
    "Held",
    "Hello",
    "History",
    "Home",
    "Identity",
    "Index",
    "Inner",
    "Input",
    "Kept",
    "Kind",
    "Known",
    "Line",
    "Lines",
    "Link",
    "Live",
    "Look",
    "Machine",
    "Metrics",
    "News",
    "Open",
    "Options",
    "Output",
    "Own",
    "Parsed",
    "Place",
    "Progress",
    "Reader",
    "Record",
    "Recovered",
    "Refused",
    "Report",
    "Reports",
    "Run",
    "Scratch",
    "Secured",
    "Seen",
    "Sent",
    "Settings",
    "Setup",
    "Shared",
    "Source",
    "Space",
    "Start",
    "Stop",
    "Stream",
    "Summed",
    "Table",
    "Verdict",
    "Waiting",
    "Writer",
];
