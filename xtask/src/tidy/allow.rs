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

/// Crates whose errors end the process with a message: no caller tells them apart.
pub const ENDS_THE_PROCESS: [&str; 1] = ["taskyard"];

/// Functions with more parameters than five, with how many. Only ever lowered.
pub const MANY_PARAMETERS: [(&str, &str, usize); 3] = [
    ("crates/sched/src/explain.rs", "reason_of", 6),
    ("crates/state/src/apply/plan.rs", "give_run", 6),
    ("crates/state/src/index.rs", "view_count", 6),
];

/// Functions with a tuple of bools among their parameters. Only ever fewer.
pub const BOOL_TUPLES: [(&str, &str); 1] = [("crates/sched/src/pass.rs", "over")];

/// Errors of more variants than eight, with how many. Only ever lowered.
pub const LARGE_ERRORS: [(&str, &str, usize); 1] = [("crates/agent/src/uplink/dial.rs", "DialError", 9)];

/// Bounds in bytes that are not in `limits.rs` yet. Only ever fewer.
pub const LIMITS_ELSEWHERE: [(&str, &str); 14] = [
    ("crates/agent/src/uplink/book.rs", "URL_BYTES_MAX"),
    ("crates/agent/src/uplink/dial.rs", "UNSENT_BYTES_MAX"),
    ("crates/agent/src/uplink/dial.rs", "ERROR_BODY_BYTES_MAX"),
    ("crates/agent/src/uplink/dial.rs", "TOKEN_BYTES_MAX"),
    ("crates/api/src/script.rs", "FIRST_LINE_BYTES_MAX"),
    ("crates/api/src/secret.rs", "BYTES_MAX"),
    ("crates/api/src/secret.rs", "KEY_BYTES_MAX"),
    ("crates/cli/src/prompt.rs", "BYTES_MAX"),
    ("crates/client/src/connection.rs", "ANSWER_BYTES_MAX"),
    ("crates/client/src/sse.rs", "LINE_BYTES_MAX"),
    ("crates/client/src/stream.rs", "LINE_BYTES_MAX"),
    ("crates/client/src/survey.rs", "HEALTH_BYTES_MAX"),
    ("crates/model/src/pattern.rs", "BYTES_MAX"),
    ("crates/state/src/snapshot.rs", "RECORD_BYTES_MAX"),
];

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
pub const PROSE: [&str; 5] =
    ["crates/consensus", "crates/model", "crates/sched", "crates/state", "crates/taskyard/tests"];

/// Types of different things that share a name. Only ever shortened: see `docs/glossary.md`.
pub const TWICE_NAMED: &[&str] = &[];
