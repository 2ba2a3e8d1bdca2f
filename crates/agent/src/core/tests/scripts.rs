//! Golden scripts: what comes in, and what the core does. Every file in `tests/scripts/core/` is one.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p taskyard-agent scripts` writes what came out into them: read it before you keep
//! it.

use super::*;
use crate::scripts::run_scripts;
use goldenscript::{Context, Runner};
use std::error::Error;

#[test]
fn scripts() {
    run_scripts("core", Script::default);
}

/// A line of a script.
#[derive(goldenscript::Command)]
enum Line {
    /// A server welcomes the agent: welcome term=1 session=1 life=1
    Welcome {
        #[arg(key)]
        term: Option<u64>,
        #[arg(key)]
        session: Option<u64>,
        #[arg(key)]
        life: Option<u64>,
    },
    /// The session ends.
    Close,
    /// The server carries the lease on from now: grant 15000
    Grant {
        ms: u64,
    },
    /// What a job asks for: job 1 driver=null limit=1000 grace=500
    Job {
        job: u64,
        #[arg(key)]
        driver: Option<String>,
        #[arg(key)]
        limit: Option<u64>,
        #[arg(key)]
        grace: Option<u64>,
    },
    /// Assignments with a place: run 1.0 count=3 fence=5
    Run {
        task: String,
        #[arg(key)]
        count: Option<u32>,
        #[arg(key)]
        fence: Option<u64>,
        #[arg(key)]
        term: Option<u64>,
        #[arg(key)]
        session: Option<u64>,
    },
    /// Assignments ahead of need: prefetch 1.0 count=3 fence=5
    Prefetch {
        task: String,
        #[arg(key)]
        count: Option<u32>,
        #[arg(key)]
        fence: Option<u64>,
    },
    /// Up to a fence, 1 where none is given. With `now` without a grace.
    Cancel {
        task: String,
        #[arg(key)]
        fence: Option<u64>,
        #[arg(key, optional)]
        now: bool,
    },
    /// The server wants back what was not started of a job.
    Recall {
        job: u64,
    },
    /// It has the reports up to this one.
    Ack {
        seq: u64,
    },
    /// The cluster has forgotten a job.
    Forget {
        job: u64,
    },
    /// What the process driver says in one message: says succeeded/1.0/1.1 returned/1.2 lost
    Says(Vec<String>),
    /// Whether the drivers can run anything: fit false
    Fit {
        fit: bool,
    },
    /// The server declared this life lost.
    Lost,
    /// The agent is on its way out.
    Drain,
    Stop,
    Kill,
    /// Time passes: wait 1000
    Wait {
        ms: u64,
    },
    /// The agent's process is another one from here on; the journal tells what is left of the one before.
    Restart,
}

struct Script {
    core: AgentCore,
    now: Now,
    /// What the server last said it is.
    term: u64,
    session: u64,
    /// Keys that drivers were told.
    keys: BTreeMap<u64, TaskRef>,
    journal: Vec<JournalRecord>,
}

impl Default for Script {
    fn default() -> Script {
        let now = Now { boot_ms: 100_000, wall_ms: 0 };
        Script {
            core: AgentCore::new(0),
            now,
            term: 1,
            session: 1,
            keys: BTreeMap::new(),
            journal: Vec::new(),
        }
    }
}

impl Runner for Script {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        let input = match line {
            Line::Welcome { term, session, life } => {
                (self.term, self.session) = (term.unwrap_or(1), session.unwrap_or(1));
                Input::Welcome(Welcome {
                    node: taskyard_model::NodeId(1),
                    incarnation: Incarnation(life.unwrap_or(1)),
                    term: self.term,
                    session: self.session,
                    lease_ms: 15_000,
                    heartbeat_ms: 3_000,
                    cluster: None,
                })
            }
            Line::Close => Input::Closed,
            Line::Grant { ms } => Input::Granted(self.granted(*ms)),
            Line::Job { job, driver, limit, grace } => {
                let mut spec = JobSpec::command(vec!["x".into()]);
                if driver.as_deref() == Some("null") {
                    spec.driver = taskyard_model::Driver::Null(Default::default());
                }
                (spec.time_limit_ms, spec.grace_ms) = (*limit, grace.unwrap_or(0));
                Input::Job { job: JobId(*job), spec: Arc::new(spec) }
            }
            Line::Run { task, count, fence, term, session } => {
                let runs = vec![assignment(task, count.unwrap_or(1), fence.unwrap_or(1), false)?];
                let (term, session) = (term.unwrap_or(self.term), session.unwrap_or(self.session));
                Input::Start { term, session, runs }
            }
            Line::Prefetch { task, count, fence } => {
                let runs = vec![assignment(task, count.unwrap_or(1), fence.unwrap_or(1), true)?];
                Input::Start { term: self.term, session: self.session, runs }
            }
            Line::Cancel { task, fence, now } => {
                Input::Cancel { task: parse(task)?, fence: Fence(fence.unwrap_or(1)), now: *now }
            }
            Line::Recall { job } => Input::Recall { job: JobId(*job), fence: Fence(u64::MAX) },
            Line::Ack { seq } => Input::Ack { seq: *seq },
            Line::Forget { job } => Input::Forget { jobs: vec![JobId(*job)] },
            Line::Says(events) => {
                let events = events.iter().map(|event| self.event(event)).collect::<Result<_, _>>()?;
                Input::Happened(DriverKind::Process, events)
            }
            Line::Fit { fit } => Input::Fit(*fit),
            Line::Lost => Input::Lost,
            Line::Drain => Input::Drain,
            Line::Stop => Input::Stop,
            Line::Kill => Input::Kill,
            Line::Wait { ms } => {
                self.now.boot_ms += ms;
                Input::Tick
            }
            Line::Restart => return self.restart(),
        };
        Ok(self.step(input))
    }
}

impl Script {
    fn granted(&self, remaining_ms: u64) -> Granted {
        let incarnation = self.core.incarnation().unwrap_or(Incarnation(0));
        let (term, session) = (self.term, self.session);
        Granted { sent_boot_ms: self.now.boot_ms, remaining_ms, incarnation, term, session }
    }

    fn step(&mut self, input: Input) -> String {
        let mut actions = Vec::new();
        self.core.step(self.now, input, &mut actions);
        self.journal.extend(actions.iter().filter_map(Action::record).cloned());
        for action in &actions {
            if let Action::Prepare(_, order) = action {
                self.keys.insert(order.key, TaskRef { job: JobId(order.job), index: order.index });
            }
        }
        actions.iter().map(|action| format!("{}\n", self.show(action))).collect()
    }

    fn restart(&mut self) -> Result<String, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        crate::journal::Journal::create(dir.path(), &self.journal)?;
        let recovered = crate::journal::recover(dir.path())?;
        let life = recovered.incarnation.ok_or("nothing was ever registered")?;
        let (term, is_empty) = (recovered.term, recovered.is_empty());
        let items = recovered.items();
        let left = items.iter().map(|item| format!("to report: {}\n", show_item(item))).collect();
        self.core = if is_empty { AgentCore::new(term) } else { AgentCore::recovering(term, life, items) };
        self.keys.clear();
        Ok(left)
    }

    /// `OUTCOME/TASK`, `OUTCOME/TASK/NEXT`, `returned/TASK`, `lost`.
    fn event(&self, text: &str) -> Result<DriverEvent, Box<dyn Error>> {
        if text == "lost" {
            return Ok(DriverEvent::Lost);
        }
        let (what, task) = text.split_once('/').ok_or("WHAT/TASK")?;
        let (task, next) = task.split_once('/').map_or((task, None), |(task, next)| (task, Some(next)));
        let key = self.key(task)?;
        if what == "returned" {
            return Ok(DriverEvent::Returned(key));
        }
        let outcome = Outcome::NAMES.iter().find(|(_, name)| *name == what).ok_or("no such outcome")?.0;
        Ok(DriverEvent::Ended(ended(key, outcome, next.map(|next| self.key(next)).transpose()?)))
    }

    fn key(&self, task: &str) -> Result<u64, Box<dyn Error>> {
        let task = parse(task)?;
        let found = self.keys.iter().rev().find(|(_, known)| **known == task);
        Ok(*found.ok_or("the driver never had it")?.0)
    }

    fn show(&self, action: &Action) -> String {
        let name = |kind: &DriverKind| format!("{kind:?}").to_lowercase();
        let task = |key: &u64| self.keys.get(key).map_or("?".into(), show_task);
        match action {
            Action::Journal(record) => format!("journal {}", show_record(record)),
            Action::AddJob(kind, job) => format!("{}: job {}", name(kind), job.0),
            Action::SetLimits(kind, job) => format!("{}: other limits for job {}", name(kind), job.0),
            Action::DropJob(kind, job) => format!("{}: drop job {}", name(kind), job.0),
            Action::Prepare(kind, order) => {
                let when = if order.run { "start" } else { "hold" };
                format!("{}: {when} {}", name(kind), task(&order.key))
            }
            Action::Start(kind, key) => format!("{}: start held {}", name(kind), task(key)),
            Action::Recall(kind, key) => format!("{}: give back {}", name(kind), task(key)),
            Action::Stop(kind, key, why) => format!("{}: stop {}, {}", name(kind), task(key), why.name()),
            Action::Kill(kind, key) => format!("{}: kill {}", name(kind), task(key)),
            Action::Renew(lease) => {
                format!("renew: the lease ends in {} ms", lease.deadline_ms.saturating_sub(self.now.boot_ms))
            }
            Action::Report { seq, items } => {
                let items: Vec<String> = items.iter().map(show_item).collect();
                format!("report {seq}: {}", items.join(", "))
            }
            Action::Forget(job) => format!("forget job {}", job.0),
        }
    }
}

fn assignment(task: &str, count: u32, fence: u64, prefetched: bool) -> Result<StartRun, Box<dyn Error>> {
    let TaskRef { job, index } = parse(task)?;
    let fence = Fence(fence);
    Ok(StartRun { job, first: index, count, attempt: 1, fence, prefetched, group: 0, gpus: vec![] })
}

/// `JOB.INDEX`
fn parse(text: &str) -> Result<TaskRef, Box<dyn Error>> {
    let (job, index) = text.split_once('.').ok_or("JOB.INDEX")?;
    Ok(TaskRef { job: JobId(job.parse()?), index: index.parse()? })
}

fn show_task(task: &TaskRef) -> String {
    format!("{}.{}", task.job.0, task.index)
}

fn show_record(record: &JournalRecord) -> String {
    match record {
        JournalRecord::Accepted(run) => {
            format!("accepted {}.{} and {} more", run.job.0, run.first, run.count - 1)
        }
        JournalRecord::Starting { first, fence, .. } => {
            format!("starting {} of fence {}", show_task(first), fence.0)
        }
        JournalRecord::Ended(finish) => {
            format!("ended {} {}", show_task(&finish.task), finish.end.outcome.name())
        }
        JournalRecord::Returned { task, .. } => format!("returned {}", show_task(task)),
        JournalRecord::Tombstone { task, fence } => {
            format!("cancelled {} up to fence {}", show_task(task), fence.0)
        }
        JournalRecord::Term(term) => format!("term {term}"),
        JournalRecord::Incarnation(life) => format!("life {}", life.0),
        JournalRecord::Acked(count) => format!("{count} acknowledged"),
        other => format!("{other:?}"),
    }
}

fn show_item(item: &Item) -> String {
    match item {
        Item::Started(start) => format!("{} started", show_task(&start.task)),
        Item::Finished(finish) => format!("{} {}", show_task(&finish.task), finish.end.outcome.name()),
        Item::Returned(returned) => format!("{} returned", show_task(&returned.task)),
    }
}
