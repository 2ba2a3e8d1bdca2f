//! What a user asked for: one job, already validated and in integers.

pub use crate::driver::{Driver, Null, ProcessCommand, SUBMIT_DIR, Stdin};
use crate::{
    Affinity, After, Begin, Constraint, Invalid, Namespace, Request, TaskIndex, after, limits, quantity,
    validate,
};
use minicbor::{Decode, Encode};

/// One job as submitted. Its encoding travels in the log and to each agent that runs one of its tasks (once, not per task).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobSpec {
    /// Name, for people. Defaults to the program's file name.
    #[n(0)]
    pub name: String,
    /// Name of its queue.
    #[n(1)]
    pub queue: String,
    /// Higher runs first under the priority policy. 0 by default.
    #[n(2)]
    pub priority: i32,
    /// What each task runs.
    #[n(3)]
    pub driver: Driver,
    /// Its tasks.
    #[n(4)]
    pub array: ArraySpec,
    /// One line per task (`--each-line`), else empty.
    #[n(5)]
    pub entries: Vec<String>,
    /// What each task needs.
    #[n(6)]
    pub request: Request,
    /// Which nodes may run it.
    #[n(7)]
    pub constraint: Constraint,
    /// A task that runs longer is stopped and fails with `time_limit`.
    #[n(8)]
    pub time_limit_ms: Option<u64>,
    /// How long a task is expected to run; the key of SJF. Never used to stop anything.
    #[n(9)]
    pub estimate_ms: Option<u64>,
    /// Between SIGTERM and SIGKILL.
    #[n(10)]
    pub grace_ms: u64,
    /// When to try again.
    #[n(11)]
    pub retry: Retry,
    /// When more tasks than this have failed, the rest is cancelled.
    #[n(12)]
    pub max_fails: Option<u32>,
    /// Submitted, but waits for `release`.
    #[n(13)]
    pub hold: bool,
    /// What to do with an attempt whose agent was lost.
    #[n(14)]
    pub on_agent_lost: OnAgentLost,
    /// Jobs whose end its tasks wait for.
    #[n(15)]
    #[cbor(default)]
    pub after: Vec<After>,
    /// Before when none of its tasks starts.
    #[n(16)]
    pub begin: Option<Begin>,
    /// Whose eyes and hands it is for.
    #[n(20)]
    pub namespace: Namespace,
    /// On whose account it runs, if it says so.
    #[n(21)]
    pub account: Option<String>,
    /// Where its tasks like to be.
    #[n(22)]
    #[cbor(default)]
    pub affinity: Affinity,
    // 23 is taken: some logs have a field of that number, which is no longer read.
}

/// The tasks of a job: `count` of them, numbered `first`, `first + step`, …
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ArraySpec {
    /// Number of the first task.
    #[n(0)]
    pub first: u64,
    /// Distance between numbers.
    #[n(1)]
    pub step: u64,
    /// How many tasks.
    #[n(2)]
    pub count: u32,
    /// At most so many at once (`%50`).
    #[n(3)]
    pub max_running: Option<u32>,
    /// When not empty, only these steps of the range have a task: runs of (first step, how many), ascending. `count` is their sum. Made by
    /// `retry`, whose new job has the failed tasks of an old one under their old numbers.
    #[n(4)]
    pub only: Vec<(u32, u32)>,
}

impl ArraySpec {
    /// One task, numbered 1.
    pub fn single() -> ArraySpec {
        ArraySpec { first: 1, step: 1, count: 1, max_running: None, only: Vec::new() }
    }

    /// The number users see for a task, and the value of `TASKYARD_TASK`.
    pub fn number(&self, index: TaskIndex) -> u64 {
        self.first + u64::from(self.step_of(index)) * self.step
    }

    /// The task of a number, if there is one.
    pub fn index(&self, number: u64) -> Option<TaskIndex> {
        let distance = number.checked_sub(self.first)?;
        let step = u32::try_from(distance / self.step).ok().filter(|_| distance.is_multiple_of(self.step))?;
        if self.only.is_empty() {
            return (step < self.count).then_some(step);
        }
        let mut before = 0;
        for &(first, count) in &self.only {
            if (first..first + count).contains(&step) {
                return Some(before + step - first);
            }
            before += count;
        }
        None
    }

    /// The same array with only the tasks of these ascending runs of (first index, how many).
    #[must_use]
    pub fn restricted(&self, runs: &[(TaskIndex, u32)]) -> ArraySpec {
        let mut only: Vec<(u32, u32)> = Vec::new();
        for index in runs.iter().flat_map(|&(first, count)| first..first + count) {
            let step = self.step_of(index);
            match only.last_mut() {
                Some((first, count)) if *first + *count == step => *count += 1,
                _ => only.push((step, 1)),
            }
        }
        let count = only.iter().map(|run| run.1).sum();
        ArraySpec { count, only, ..self.clone() }
    }

    fn step_of(&self, index: TaskIndex) -> u32 {
        let mut left = index;
        for &(first, count) in &self.only {
            if left < count {
                return first + left;
            }
            left -= count;
        }
        index
    }

    /// Parses `1-1000`, `1-1000:2`, `0-9%4`, `7`.
    pub fn parse(field: &str, text: &str) -> Result<ArraySpec, Invalid> {
        let bad = |why: &str| {
            Invalid::new(
                field,
                text,
                format!(
                    "{why}; write FIRST-LAST, FIRST-LAST:STEP or FIRST-LAST:STEP%AT_ONCE, as in 1-1000:2%50"
                ),
            )
        };
        let number = |t: &str| {
            let is_number = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            match t.parse::<u64>() {
                Ok(number) => Ok(number),
                Err(_) if is_number => Err(bad(&format!(
                    "{t} is too large: numbers of tasks are at most {}",
                    limits::TASK_NUMBER_MAX
                ))),
                Err(_) => Err(bad(&format!("\"{t}\" is not a number"))),
            }
        };
        let (range, at_once) = text.split_once('%').map_or((text, None), |(r, m)| (r, Some(m)));
        let (range, step) = range.split_once(':').map_or((range, None), |(r, s)| (r, Some(s)));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        let step = step.map_or(Ok(1), number)?;
        let max_running = at_once
            .map(|m| m.parse::<u32>().map_err(|_| bad("the number after % is not a number")))
            .transpose()?;
        if step == 0 || max_running == Some(0) {
            return Err(bad("step and the number after % must be at least 1"));
        }
        if first > last {
            return Err(bad("the last number is before the first"));
        }
        if last > limits::TASK_NUMBER_MAX {
            return Err(bad(&format!("numbers of tasks are at most {}", limits::TASK_NUMBER_MAX)));
        }
        let tasks = (last - first) / step + 1;
        if tasks > limits::ARRAY_TASKS_MAX {
            return Err(bad(&format!("{tasks} tasks; at most {} are allowed", limits::ARRAY_TASKS_MAX)));
        }
        Ok(ArraySpec { first, step, count: tasks as u32, max_running, only: Vec::new() })
    }
}

/// When and how often a failed task is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Retry {
    /// How many times after a failure of its own. A lost agent does not count.
    #[n(0)]
    pub max: u32,
    /// Wait before the first retry; doubled for each further one, up to an hour.
    #[n(1)]
    pub backoff_ms: u64,
}

impl Retry {
    /// Wait before retry number `nth` (from 1).
    pub fn wait_ms(&self, nth: u32) -> u64 {
        const LONGEST: u64 = 3_600_000;
        let doubled = self.backoff_ms.saturating_mul(1 << nth.saturating_sub(1).min(20));
        doubled.min(LONGEST.max(self.backoff_ms))
    }

    /// Wait before the `nth` retry (from 1) of what the infrastructure ended, whatever the job says of its own failures: a node that loses what
    /// it is given must not be fed without a pause.
    pub fn infrastructure_wait_ms(nth: u32) -> u64 {
        let backoff_ms = limits::INFRASTRUCTURE_BACKOFF_MS;
        Retry { max: 0, backoff_ms }.wait_ms(nth).min(limits::INFRASTRUCTURE_BACKOFF_MS_MAX)
    }
}

/// What becomes of an attempt whose agent was declared lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum OnAgentLost {
    /// Run it again: at least once.
    #[default]
    #[n(0)]
    Retry,
    /// It failed: at most once.
    #[n(1)]
    Fail,
}

impl JobSpec {
    /// A job with one command and every default.
    pub fn command(argv: Vec<String>) -> JobSpec {
        JobSpec {
            name: "job".into(),
            queue: "default".into(),
            priority: 0,
            driver: Driver::Process(ProcessCommand { argv, ..ProcessCommand::default() }),
            array: ArraySpec::single(),
            entries: Vec::new(),
            request: Request {
                amounts: crate::Amounts { cpu_milli: 1_000, ..crate::Amounts::default() },
                ..Request::default()
            },
            constraint: Constraint::default(),
            time_limit_ms: None,
            estimate_ms: None,
            grace_ms: 5_000,
            retry: Retry::default(),
            max_fails: None,
            hold: false,
            on_agent_lost: OnAgentLost::Retry,
            after: Vec::new(),
            namespace: Namespace::default(),
            account: None,
            affinity: Affinity::default(),
            begin: None,
        }
    }

    /// Checks everything that does not depend on the cluster. Each error names the field, the value and the remedy.
    pub fn check(&self) -> Result<(), Invalid> {
        validate::title("name", &self.name)?;
        validate::name("queue", &self.queue)?;
        validate::name("namespace", self.namespace.as_str())?;
        self.affinity.check()?;
        if self.affinity.broadcast && (self.array != ArraySpec::single() || !self.entries.is_empty()) {
            let remedy = "a broadcast has one task for each node: leave out array and entries";
            return Err(Invalid::new("broadcast", true, remedy));
        }
        self.account.as_deref().map_or(Ok(()), |account| validate::name("account", account))?;
        self.request.check()?;
        if self.priority.unsigned_abs() > limits::PRIORITY_MAX.unsigned_abs() {
            return Err(Invalid::new(
                "priority",
                self.priority,
                format!("between -{0} and {0}", limits::PRIORITY_MAX),
            ));
        }
        if self.retry.max > limits::RETRIES_MAX {
            return Err(Invalid::new("retries", self.retry.max, format!("at most {}", limits::RETRIES_MAX)));
        }
        self.check_times()?;
        self.check_tasks()?;
        after::check(&self.after)?;
        self.driver.check(&self.entries)?;
        self.check_size()
    }

    fn check_size(&self) -> Result<(), Invalid> {
        let lines = minicbor::to_vec(&self.entries).map_or(usize::MAX, |encoded| encoded.len());
        let all = minicbor::to_vec(self).map_or(usize::MAX, |encoded| encoded.len());
        let rest = all.saturating_sub(lines);
        let sizes = [
            ("entries", "the lines of a job have", lines, limits::ENTRIES_BYTES_MAX),
            ("job", "a job specification has", rest, limits::JOB_SPEC_BYTES_MAX),
        ];
        for (field, what, bytes, most) in sizes {
            if bytes > most {
                let remedy = format!("{what} at most {most} bytes; put large input into a file on the nodes");
                return Err(Invalid::new(field, format!("{bytes} bytes"), remedy));
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), Invalid> {
        if self.grace_ms > limits::GRACE_MS_MAX {
            let most = quantity::show_duration(limits::GRACE_MS_MAX);
            let grace = quantity::show_duration(self.grace_ms);
            return Err(Invalid::new("grace", grace, format!("at most {most}")));
        }
        if self.time_limit_ms == Some(0) || self.estimate_ms == Some(0) {
            return Err(Invalid::new("time_limit/estimate", "0", "more than zero, or leave it out"));
        }
        if let Some(Begin::After(delay)) = self.begin
            && delay > limits::BEGIN_AFTER_MS_MAX
        {
            let most = quantity::show_duration(limits::BEGIN_AFTER_MS_MAX);
            let delay = quantity::show_duration(delay);
            return Err(Invalid::new("begin", format!("+{delay}"), format!("a delay of at most {most}")));
        }
        Ok(())
    }

    fn check_tasks(&self) -> Result<(), Invalid> {
        let count = self.array.count;
        if count == 0 || u64::from(count) > limits::ARRAY_TASKS_MAX {
            return Err(Invalid::new("array", count, format!("1 to {} tasks", limits::ARRAY_TASKS_MAX)));
        }
        if self.array.step == 0 || self.array.max_running == Some(0) {
            return Err(Invalid::new("array", 0, "step and the number of tasks at once must be at least 1"));
        }
        let of_runs: u64 = self.array.only.iter().map(|run| u64::from(run.1)).sum();
        if !self.array.only.is_empty() && of_runs != u64::from(count) {
            return Err(Invalid::new(
                "array",
                of_runs,
                format!("write as many steps as the job has tasks ({count})"),
            ));
        }
        if !self.entries.is_empty() && self.entries.len() != count as usize {
            return Err(Invalid::new(
                "entries",
                self.entries.len(),
                format!("write as many lines as the job has tasks ({count})"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays() {
        let a = ArraySpec::parse("--array", "1-1000:2%50").unwrap();
        assert_eq!((a.count, a.max_running, a.number(0), a.number(499)), (500, Some(50), 1, 999));
        assert_eq!((a.index(5), a.index(4), a.index(1001)), (Some(2), None, None));
        assert_eq!(ArraySpec::parse("--array", "7").unwrap().count, 1);
        assert_eq!(ArraySpec::parse("--array", "0-9999999").unwrap().count, 10_000_000);
        for bad in ["", "5-1", "1-10:0", "1-10%0", "a-b", "0-10000000", "1-2-3", "-1-5"] {
            assert!(ArraySpec::parse("--array", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_restricted_array_keeps_its_numbers() {
        let a = ArraySpec::parse("--array", "10-100:10").unwrap();
        let failed = a.restricted(&[(1, 2), (5, 1)]);
        assert_eq!((failed.count, failed.only.as_slice()), (3, &[(1, 2), (5, 1)][..]));
        let numbers: Vec<_> = (0..3).map(|i| failed.number(i)).collect();
        assert_eq!(numbers, [20, 30, 60]);
        assert_eq!([20, 30, 60, 40].map(|n| failed.index(n)), [Some(0), Some(1), Some(2), None]);
        assert_eq!(failed.restricted(&[(1, 2)]).number(1), 60, "a retry of a retry");
    }

    #[test]
    fn specs_are_checked_by_field() {
        let good = JobSpec::command(vec!["true".into()]);
        assert_eq!(good.check(), Ok(()));
        let field = |change: &dyn Fn(&mut JobSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            spec.check().unwrap_err().field
        };
        assert_eq!(field(&|s| s.name = "No\n".into()), "name");
        assert_eq!(field(&|s| s.retry.max = 101), "retries");
        assert_eq!(field(&|s| s.request.gpu_milli = 1_001), "gpus");
        assert_eq!(field(&|s| s.entries = vec!["x".into(); 3]), "entries");
        let lines = |s: &mut JobSpec, count: u32| {
            s.array.count = count;
            s.entries = (1..=count).map(|n| n.to_string()).collect();
        };
        let mut many = good.clone();
        lines(&mut many, 200_000);
        assert_eq!(many.check(), Ok(()), "lines count apart");
        assert_eq!(field(&|s| lines(s, 500_000)), "entries");
        assert_eq!(field(&|s| s.driver = Driver::Process(ProcessCommand::default())), "command");
        let env = |k: &str| {
            Driver::Process(ProcessCommand {
                argv: vec!["x".into()],
                env: vec![(k.into(), "v".into())],
                ..ProcessCommand::default()
            })
        };
        assert_eq!(field(&|s| s.driver = env("TASKYARD_JOB")), "env");
        assert_eq!(field(&|s| s.driver = env(&"x".repeat(300 << 10))), "env");
        assert_eq!(field(&|s| s.priority = i32::MIN), "priority");
        assert_eq!(field(&|s| s.grace_ms = u64::MAX), "grace");
        assert_eq!(field(&|s| s.begin = Some(Begin::After(u64::MAX))), "begin");
    }

    #[test]
    fn encoding_round_trips() {
        let mut spec = JobSpec::command(vec!["sh".into(), "-c".into(), "exit 3".into()]);
        spec.time_limit_ms = Some(5);
        let bytes = minicbor::to_vec(&spec).unwrap();
        assert_eq!(minicbor::decode::<JobSpec>(&bytes).unwrap(), spec);
    }

    #[test]
    fn backoff_doubles_and_ends() {
        let retry = Retry { max: 9, backoff_ms: 1_000 };
        assert_eq!((retry.wait_ms(1), retry.wait_ms(3), retry.wait_ms(99)), (1_000, 4_000, 3_600_000));
    }
}
