//! Every limit, with its name. What passes one gets an error that names it (see [`crate::Invalid`]).

/// One message between agent and server, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// One job specification without its lines, encoded, in bytes.
pub const JOB_SPEC_BYTES_MAX: usize = 1 << 20;
/// Lines of one job (`--each-line`), encoded, in bytes: with the rest they fit into one entry of the log and one message.
pub const ENTRIES_BYTES_MAX: usize = 2 << 20;
/// Body of an HTTP request, in bytes: a job specification in JSON, whose base64 and quoting cost some.
pub const HTTP_BODY_BYTES_MAX: usize = 4 << 20;
/// What is read of a body past that limit and thrown away, in bytes: a client that still sends hears nothing of its refusal.
pub const HTTP_BODY_DISCARDED_BYTES_MAX: usize = 16 << 20;
/// Arguments, environment and line of one task together, with what Taskyard adds, in bytes.
pub const EXEC_BYTES_MAX: usize = 256 << 10;
/// What is allowed of that for what Taskyard and the agent add, in bytes: a few short variables, and the paths of its script and directory.
pub const EXEC_ADDED_BYTES: usize = 16 << 10;
/// One argument, or one variable with its name, in bytes: the kernel's MAX_ARG_STRLEN without the NUL at the end.
pub const EXEC_STRING_BYTES_MAX: usize = (128 << 10) - 1;
/// A path, in bytes: the kernel's PATH_MAX without the NUL at the end.
pub const PATH_BYTES_MAX: usize = 4_095;
/// What stands between two slashes of a path, in bytes.
pub const PATH_PART_BYTES_MAX: usize = 255;
/// A name of a job, queue, node, resource or label.
pub const NAME_CHARS_MAX: usize = 128;
/// Tasks of one job.
pub const ARRAY_TASKS_MAX: u64 = 10_000_000;
/// Number of a task: far below where sums of numbers and steps would overflow.
pub const TASK_NUMBER_MAX: u64 = u64::MAX / 4;
/// Jobs that one job may wait for.
pub const PREDECESSORS_MAX: usize = 64;
/// Jobs of one file that are submitted together.
pub const JOBS_PER_FILE_MAX: usize = 100_000;
/// Jobs that one request may have checked.
pub const CHECKED_JOBS_MAX: usize = 10_000;
/// Refused jobs after which no further ones are checked: a mistake that all of them share is told often enough.
pub const CHECK_REFUSALS_MAX: usize = 100;
/// Mistakes in one file of jobs that are told one by one; the rest are counted.
pub const MISTAKES_TOLD_MAX: usize = 20;
/// One file, or standard input, that a command reads into memory, in bytes.
pub const INPUT_FILE_BYTES_MAX: u64 = 256 << 20;
/// Longest time between SIGTERM and SIGKILL that a queue allows where its settings say nothing, in milliseconds.
pub const GRACE_MS_DEFAULT_MAX: u64 = 10 * 60_000;
/// The most that they may say.
pub const GRACE_MS_MAX: u64 = 24 * 3_600_000;
/// Longest delay before which nothing of a job starts, in milliseconds: a hundred years, which dates can say.
pub const BEGIN_AFTER_MS_MAX: u64 = 36_500 * 86_400_000;
/// Retries of one task.
pub const RETRIES_MAX: u32 = 100;
/// Attempts of one task that the infrastructure may end (lost agents, lost leases) before the task fails for it.
pub const INFRASTRUCTURE_RETRIES_MAX: u32 = 30;
/// Wait before the first of them, in milliseconds; it doubles from one to the next.
pub const INFRASTRUCTURE_BACKOFF_MS: u64 = 1_000;
/// Longest of these waits.
pub const INFRASTRUCTURE_BACKOFF_MS_MAX: u64 = 300_000;
/// An idempotency key of a client.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// How long an idempotency key is remembered, in milliseconds of state time.
pub const REQUEST_ID_KEPT_MS: u64 = 25 * 3_600_000;
/// Different exit codes, signals and error numbers that one job counts apart; tasks with more are counted by the kind of their end alone.
pub const END_CODES_PER_JOB_MAX: usize = 64;
/// Priority of a job, either way.
pub const PRIORITY_MAX: i32 = 1_000_000;
/// Why a node takes no work, as its agent says it, in bytes.
pub const NODE_REASON_BYTES_MAX: usize = 512;
/// Highest priority that a submitter may give where a queue's settings say nothing; operators may give more.
pub const PRIORITY_DEFAULT_MAX: i32 = 1_000;
/// Prefetched attempts of one agent.
pub const PREFETCHED_PER_NODE_MAX: u32 = 16_384;
/// Tasks one plan may assign: it is one entry of the log, and `apply` of it must not hold up the others for long.
pub const PLAN_TASKS_MAX: u32 = 100_000;
/// Running attempts of one node, whatever it offers.
pub const RUNNING_PER_NODE_MAX: u32 = 65_536;
/// Running attempts of one node, for each of its cores, past which none starts that asks for no CPU.
pub const WITHOUT_CPU_PER_CORE_MAX: u32 = 64;
/// Named resources in one request or on one node.
pub const NAMED_RESOURCES_MAX: usize = 32;
/// Labels of one node.
pub const LABELS_MAX: usize = 64;
/// Terms of one constraint.
pub const CONSTRAINT_TERMS_MAX: usize = 16;
/// GPU devices of one node.
pub const GPU_DEVICES_MAX: usize = 64;
/// Queues of one cluster.
pub const QUEUES_MAX: usize = 1_000;
/// Pools of one cluster.
pub const POOLS_MAX: usize = 100;
/// Tasks whose start a conservative pool plans ahead; who comes after them may start only where it delays none of these.
pub const PLANNED_TASKS_MAX: u32 = 2_000;
/// Nodes that one pass looks at, once for each time. A node costs a few nanoseconds, so this is some tens of milliseconds. A pass that
/// runs out begins at the front the next time: were this less than classes times nodes with room, the rear could starve.
pub const PASS_NODES_MAX: u64 = 20_000_000;
/// Tasks of a class that an agent may hold for each that runs there.
pub const PREFETCH_DEPTH_MAX: u32 = 4_096;
/// Nodes that a forecast looks at.
pub const FORECAST_NODES_MAX: u64 = 5_000_000;
/// Jobs ahead of one that are counted.
pub const JOBS_AHEAD_COUNTED_MAX: u32 = 10_000;
/// Jobs ahead of one that are named.
pub const JOBS_AHEAD_NAMED_MAX: usize = 10;
/// Turns that are followed to count jobs ahead where each task counts against the next turn.
pub const TURNS_FOLLOWED_MAX: u32 = 100_000;
/// Ends that are named for one expected start, the latest first.
pub const START_BASIS_NAMED_MAX: usize = 10;
/// Jobs with an earlier reservation that are remembered with a reserved start.
pub const START_RIVALS_MAX: usize = 16;
/// Nodes that all counterfactuals of one job look at together; other work of their passes is counted in the same unit. About a second.
pub const WHATIF_NODES_MAX: u64 = 200_000_000;
/// Passes for all counterfactuals of one job together.
pub const WHATIF_PASSES_MAX: u32 = 4_000;
/// Steps of one counterfactual that are tried one by one where bisection proves nothing.
pub const WHATIF_SCAN_STEPS_MAX: u64 = 1_024;
/// The longest run time that is tried for a job of unknown length, in milliseconds: a year.
pub const WHATIF_TIME_MS_MAX: u64 = 365 * 86_400_000;
/// Other queues that are tried for one job, and likewise nodes to resume and maintenances to delete.
pub const WHATIF_OTHERS_MAX: usize = 8;
/// Maintenance windows that a cluster knows.
pub const MAINTENANCE_WINDOWS_MAX: usize = 1_000;
/// Pairs of a user and an account that a cluster knows.
pub const PARTIES_MAX: usize = 100_000;
/// Users who are named as those who may charge one account.
pub const ACCOUNT_USERS_MAX: usize = 10_000;
/// Reasons for its waiting that a leader remembers of one job.
pub const REASONS_PER_JOB_MAX: usize = 16;
/// Waiting jobs, the oldest ones, of which it remembers them.
pub const REASONS_JOBS_MAX: usize = 1_000;
/// Days, in UTC, whose usage is kept.
pub const USAGE_DAYS_KEPT: u32 = 400;
/// Days of usage that are kept, of all users on accounts and queues together: with more of these the oldest days are forgotten sooner.
pub const USAGE_ENTRIES_MAX: usize = 200_000;
/// Shortest half-life of past use, in milliseconds.
pub const HALF_LIFE_MS_MIN: u64 = 60_000;
/// Longest.
pub const HALF_LIFE_MS_MAX: u64 = 3_650 * 86_400_000;
/// Nodes of one cluster.
pub const NODES_MAX: usize = 20_000;
/// Captured output that is kept of one stream of one attempt, in bytes, unless its node says otherwise: of more, the first and the last half.
pub const OUTPUT_BYTES_MAX: u64 = 256 << 20;
/// Least that a node may be told to keep of it.
pub const OUTPUT_BYTES_MIN: u64 = 4 << 10;
/// Captured output that a node keeps in all, in bytes, unless it says otherwise: past that the oldest goes.
pub const OUTPUT_OF_NODE_BYTES_MAX: u64 = 10 << 30;
/// What an agent leaves free of the disk of its data directory: a twentieth, and at most this.
pub const DISK_LEFT_FREE_BYTES_MAX: u64 = 1 << 30;
/// Output of a finished attempt up to this size is packed with that of others of its job, in bytes.
pub const OUTPUT_PACKED_BYTES_MAX: usize = 16 << 10;
/// Finished attempts of a job whose output has a file of its own on one node; past that more is packed.
pub const OUTPUT_FILES_PER_JOB_MAX: u32 = 1_024;
/// Output up to this size is packed then.
pub const OUTPUT_PACKED_MANY_BYTES_MAX: usize = 1 << 20;
/// Rows of one page of a list.
pub const PAGE_ROWS_MAX: usize = 10_000;
/// Events kept for readers that come back.
pub const EVENTS_KEPT_MAX: usize = 65_536;
/// Bytes of one read of an attempt's output.
pub const LOG_READ_BYTES_MAX: usize = 256 << 10;
/// Servers of one cluster that have not left: more make it slower, not safer.
pub const SERVERS_MAX: usize = 16;
/// Namespaces of one cluster.
pub const NAMESPACES_MAX: usize = 10_000;
/// Tokens that are kept, used or not.
pub const TOKENS_MAX: usize = 100_000;
/// Names of nodes that were removed, and are remembered for good.
pub const NODES_REMOVED_MAX: usize = 100_000;
/// Grants of one token.
pub const GRANTS_PER_TOKEN_MAX: usize = 64;
/// Certificates that one token to join with is good for.
pub const JOINS_PER_TOKEN_MAX: u32 = 1_000;
/// What people write about a token.
pub const TOKEN_LABEL_CHARS_MAX: usize = 128;
/// Life of a token that ends, in milliseconds of state time: ten years.
pub const TOKEN_LIFE_MS_MAX: u64 = 3_650 * 86_400_000;
/// How long a token is listed after it expired or was revoked, in milliseconds of state time: a week.
pub const TOKEN_KEPT_MS: u64 = 7 * 86_400_000;
/// Headers of an HTTP request, in bytes.
pub const HTTP_HEADERS_BYTES_MAX: usize = 16 << 10;
/// A connection that has not sent a whole head of a request for so long, at first or since the last answer, is closed. Longer than balancers keep
/// theirs, so that they are the ones who close.
pub const HTTP_HEAD_MS: u64 = 75_000;
/// What of a request is in memory before anybody looks at it, in bytes: a longer head is refused.
pub const HTTP_BUFFER_BYTES_MAX: usize = 64 << 10;
/// A body that has not come whole after so long is not waited for.
pub const HTTP_BODY_MS: u64 = 60_000;
/// A server that takes longer to say whether it is ready counts as one that does not answer.
pub const HTTP_CLIENT_HEALTH_MS: u64 = 800;
/// A call without an answer for so long looks after its server, and says what it waits for.
pub const HTTP_CLIENT_STALL_MS: u64 = 500;
/// Connections of our own clients that are not used for so long are closed by them.
pub const HTTP_CLIENT_IDLE_MS: u64 = 60_000;
/// Open connections to one server on which requests are sent; sessions of agents and servers are not counted. Fewer where the system allows few open files.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;
/// Callers past that who are told so at the same time; further ones are just closed.
pub const HTTP_REFUSALS_MAX: usize = 256;
/// One file of the audit, in bytes; then the next one begins.
pub const AUDIT_FILE_BYTES_MAX: u64 = 16 << 20;
/// Files of the audit that are kept, with the one that is written.
pub const AUDIT_FILES_MAX: usize = 8;
/// Refusals of callers without a credential that the audit holds for one second; more are counted only.
pub const AUDIT_STRANGERS_PER_SECOND_MAX: u64 = 10;
/// Bytes of a backup that one request to a store moves.
pub const BACKUP_PART_BYTES: u64 = 16 << 20;
/// Objects that a store of backups may hold: more are not listed.
pub const BACKUP_OBJECTS_MAX: usize = 20_000;
/// The manifest of a backup, which has a few hundred bytes; a longer one is none.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// The membership in a snapshot, which is small: a longer length is damage.
pub const SNAPSHOT_MEMBERSHIP_BYTES_MAX: u32 = 1 << 20;
/// What a server or an agent reads of the answer when it joins, before it knows whom it asked.
pub const JOIN_ANSWER_BYTES_MAX: usize = 64 << 10;
/// TLS handshakes at a time; further callers wait to be accepted.
pub const TLS_HANDSHAKES_MAX: usize = 2_048;
/// Of these, from one address; further callers from there are dropped. A thousand agents behind one address get through in turns.
pub const TLS_HANDSHAKES_PER_ADDRESS_MAX: usize = 256;
/// Reads of output that wait for one agent's answer.
pub const LOG_READS_PER_NODE_MAX: usize = 1_024;
/// Finished jobs that the rule of retention may keep.
pub const RETENTION_JOBS_MAX: u64 = 1_000_000;
/// Tasks of finished jobs that it may keep.
pub const RETENTION_TASKS_MAX: u64 = 1_000_000_000;
/// The least that it may allow inputs of finished jobs on disk, or the state in memory, in bytes.
pub const RETENTION_BYTES_MIN: u64 = 16 << 20;
/// The most: sums stay far from what JSON can carry.
pub const RETENTION_BYTES_MAX: u64 = 1 << 50;
/// What the state may take of memory unless the rule says otherwise, in bytes.
pub const STATE_BYTES: u64 = 2 << 30;
/// Inputs of finished jobs that are in memory because no snapshot has them yet, in bytes, before one is written for them.
pub const UNSTORED_BYTES_MAX: u64 = 64 << 20;
/// Shortest time that it may keep a finished job, in milliseconds: whoever waits for the end must be able to read how it was.
pub const RETENTION_KEEP_MS_MIN: u64 = 60_000;
/// Longest.
pub const RETENTION_KEEP_MS_MAX: u64 = 3_650 * 86_400_000;
/// Jobs forgotten when one ends, so that the end of a job stays cheap.
pub const FORGOTTEN_PER_END_MAX: u32 = 4;
/// Jobs forgotten by one `Pulse`; the next follows at once.
pub const FORGOTTEN_PER_ENTRY_MAX: u32 = 1_000;
/// Deadlines that one `Pulse` meets; the next follows at once.
pub const DUE_PER_ENTRY_MAX: u64 = 10_000;
/// Kept jobs looked at for gaps between them, of which agents are told.
pub const GAPS_LOOKED_AT_MAX: usize = 512;
/// Longest line that is kept in one piece where lines of several tasks stand among each other.
pub const LOG_LABELLED_LINE_BYTES_MAX: usize = 64 << 10;
/// Tasks whose output is followed at a time: so many connections, and the rest in turn.
pub const LOGS_FOLLOWED_MAX: usize = 16;
/// Outputs that are opened ahead of the one that is being printed.
pub const LOGS_OPENED_AHEAD: usize = 4;
