//! Golden scripts: commands to the state, and what comes of each. Every file in `tests/scripts/` is one.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p taskyard-state --test state scripts` writes what came out into them: read it before you keep it.

use crate::world::{Held, World, array, finished, started};
use goldenscript::{Context, Runner};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use taskyard_model::report::{Item, Returned};
use taskyard_model::{After, JobId, JobSpec, Need, NodeId, Outcome, Retry};
use taskyard_state::{Command, Event, Reply, State};

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are no scripts");
    files.iter().for_each(|file| goldenscript::run(&mut Script::default(), file).unwrap());
}

/// A line of a script.
#[derive(goldenscript::Command)]
enum Line {
    /// An agent registers: node a cpus=2
    Node {
        name: String,
        #[arg(key)]
        cpus: Option<u64>,
    },
    /// A job comes in: submit tasks=3 retries=1 after=ok/1
    Submit {
        #[arg(key)]
        tasks: Option<u32>,
        #[arg(key)]
        retries: Option<u32>,
        #[arg(key, optional)]
        hold: bool,
        #[arg(key)]
        after: Option<String>,
    },
    /// The next tasks of a job go to a node and run: assign 1 a 2
    Assign {
        job: u64,
        node: String,
        count: u32,
    },
    /// The same, held ahead of need.
    Prefetch {
        job: u64,
        node: String,
        count: u32,
    },
    /// What an agent reports in one batch: report a succeeded/1.0 started/1.1
    Report(String, Vec<String>),
    /// The lease of a node's agent has surely ended.
    Lost {
        node: String,
    },
    /// A user's acts.
    Cancel {
        job: u64,
    },
    Hold {
        job: u64,
    },
    Release {
        job: u64,
    },
    /// Time passes: wait 1000
    Wait {
        ms: u64,
    },
    /// A job, and each of its tasks that was ever assigned.
    Show {
        job: u64,
    },
}

/// A world that a script drives.
#[derive(Default)]
struct Script(World);

impl Runner for Script {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        let reply = match line {
            Line::Node { name, cpus } => self.0.try_register(name, cpus.unwrap_or(1), None),
            Line::Submit { tasks, retries, hold, after } => {
                let mut spec = JobSpec::command(vec!["true".into()]);
                spec.array = array(tasks.unwrap_or(1));
                spec.retry = Retry { max: retries.unwrap_or(0), backoff_ms: 1_000 };
                spec.hold = *hold;
                spec.after = after.iter().map(|text| predecessor(text)).collect::<Result<_, _>>()?;
                self.0.try_submit(|to| *to = spec)
            }
            Line::Assign { job, node, count } => self.assign((*job, node, *count), false)?,
            Line::Prefetch { job, node, count } => self.assign((*job, node, *count), true)?,
            Line::Report(node, items) => {
                let node = self.node(node)?;
                let items = items.iter().map(|item| self.item(node, item)).collect::<Result<_, _>>()?;
                self.0.report(node, items)
            }
            Line::Lost { node } => {
                let node = self.node(node)?;
                let incarnation = self.0.agents[&node].incarnation;
                self.0.apply(Command::Lost { node, incarnation, silent_ms: 0 })
            }
            Line::Cancel { job } => {
                self.0.apply(Command::Cancel { job: JobId(*job), tasks: Vec::new(), now: false })
            }
            Line::Hold { job } => self.0.apply(Command::Hold { job: JobId(*job) }),
            Line::Release { job } => self.0.apply(Command::Release { job: JobId(*job) }),
            Line::Wait { ms } => {
                self.0.now_ms += ms;
                self.0.apply(Command::Pulse)
            }
            Line::Show { job } => return Ok(show(&self.0.state, JobId(*job))),
        };
        self.0.check();
        Ok(format!("{reply:?}\n{}", self.events()))
    }
}

impl Script {
    fn assign(
        &mut self,
        (job, node, count): (u64, &str, u32),
        prefetch: bool,
    ) -> Result<Reply, Box<dyn Error>> {
        let node = self.node(node)?;
        let accepted = self.0.assign(JobId(job), node, count, prefetch);
        Ok(Reply::Planned { accepted, refused: u64::from(count) - accepted })
    }

    /// What the last command changed.
    fn events(&mut self) -> String {
        let mut text = String::new();
        for event in std::mem::take(&mut self.0.events) {
            match event {
                Event::Tasks { job, first, count, phase } => {
                    let last = first + count - 1;
                    writeln!(text, "  tasks {job}.{first}..={last}: {phase:?}").unwrap();
                }
                other => writeln!(text, "  {other:?}").unwrap(),
            }
        }
        text
    }

    fn node(&self, name: &str) -> Result<NodeId, Box<dyn Error>> {
        Ok(self.0.state.node_named(name).ok_or("no such node")?.head.id)
    }

    /// `started/JOB.INDEX`, `returned/JOB.INDEX`, or an outcome, as in `succeeded/JOB.INDEX`.
    fn item(&mut self, node: NodeId, text: &str) -> Result<Item, Box<dyn Error>> {
        let (what, task) = text.split_once('/').ok_or("WHAT/JOB.INDEX")?;
        let (of, index) = task.split_once('.').ok_or("JOB.INDEX")?;
        let (of, index) = (JobId(of.parse()?), index.parse()?);
        let held = &mut self.0.agents.get_mut(&node).ok_or("no such agent")?.held;
        let at = held.iter().position(|h| (h.task.job, h.task.index) == (of, index));
        let at = at.ok_or_else(|| format!("the agent does not have {task}"))?;
        if what == "started" {
            return Ok(started(held[at]));
        }
        let gone = held.remove(at);
        if what == "returned" {
            let Held { task, fence, .. } = gone;
            return Ok(Item::Returned(Returned { task, fence }));
        }
        let outcome = Outcome::NAMES.iter().find(|(_, name)| *name == what).ok_or("no such outcome")?.0;
        Ok(finished(gone, outcome))
    }
}

/// `NEED/JOB`
fn predecessor(text: &str) -> Result<After, Box<dyn Error>> {
    let (need, job) = text.split_once('/').ok_or("NEED/JOB")?;
    Ok(After { job: JobId(job.parse()?), need: Need::parse(need).ok_or("ok, any or fail")? })
}

fn show(state: &State, id: JobId) -> String {
    let Some(job) = state.job(id) else { return "no such job".into() };
    let mut text = format!("job {id}: {:?}, {} tasks\n", job.phase(), job.tasks());
    job.each_record(0, |index, record| {
        let node = state.node(record.node).map_or("no node", |node| &node.head.registered.name);
        let (attempt, phase) = (record.attempt, record.phase);
        write!(text, "  {id}.{index}: {phase:?}, attempt {attempt} on {node}").unwrap();
        if let Some(outcome) = record.outcome() {
            write!(text, ", {}", outcome.name()).unwrap();
        }
        if let Some(again_ms) = job.again_ms(index) {
            write!(text, ", again at {again_ms} ms").unwrap();
        }
        text.push('\n');
        true
    });
    text
}
