//! Every limit of the simulator's input and output, with its name.

/// Jobs of one workload: beyond it the machine that simulates would run out of memory before it is done.
pub const JOBS_MAX: usize = 50_000_000;
/// Malformed lines that are kept with their reason; the rest are counted only.
pub const MALFORMED_KEPT_MAX: usize = 100;
/// Bytes of one line of a trace. A longer one is malformed and skipped.
pub const LINE_BYTES_MAX: usize = 256 << 10;
/// Largest time in a trace, in seconds (some 3,000 years): what is larger is a mistake, and sums of times must not
/// overflow.
pub const TIME_S_MAX: i64 = 100_000_000_000;
/// Processors of a machine or of one job.
pub const PROCS_MAX: u32 = 100_000_000;
/// Memory that unpacking an `.xz` may take, in KiB: the file says how much it wants, and it may lie.
pub const XZ_MEMORY_KIB_MAX: u32 = 256 << 10;
/// Windows cut from one trace.
pub const WINDOWS_MAX: usize = 10_000;
/// Points of one line in a plot.
pub const PLOT_POINTS_MAX: usize = 1_000;
/// Lines in one plot: more cannot be told apart.
pub const PLOT_LINES_MAX: usize = 12;
/// Nodes of one workload.
pub const NODES_MAX: usize = taskyard_model::limits::NODES_MAX;
/// Jobs of a cluster's own history: each is asked for by itself.
pub const HISTORY_JOBS_MAX: usize = 100_000;
/// Tasks of a cluster's own history.
pub const HISTORY_TASKS_MAX: usize = 2_000_000;
/// What copies with jittered submits may cost where their number was not given, in jobs that take the shortcut: about
/// ten seconds of one core.
pub const COPIES_COST_MAX: u64 = 60_000_000;
/// Copies with jittered submits.
pub const COPIES_MAX: u32 = 100;
