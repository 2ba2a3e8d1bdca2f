//! The state as bytes: a sequence of records, each a length and CBOR. Written from a frozen copy while `apply` goes on, never held in memory whole.

use crate::access::{NamespaceHead, Token};
use crate::accounts::{Account, Party};
use crate::block::Block;
use crate::class::Class;
use crate::command::Maintenance;
use crate::core::{Core, Due, Pool, Queue, RequestKey, StateClock};
use crate::job::Job;
use crate::job::{JobHead, PastAttempt};
use crate::ledger::{DayOf, Ledger};
use crate::node::{GivenOrder, JobHere, Node, NodeHead, RemovedNode, TaskRun, TaskRunKey};
use crate::server::ServerRecord;
use crate::state::State;
use crate::stored::{SpecFile, Stored, StoredPlace, Written, checksum};
use crate::table::SharedTable;
use crate::used::Used;
use minicbor::{Decode, Encode};
use std::io::{Read, Write};
use std::sync::Arc;
use taskyard_model::{JobId, JobSpec, Retention, TaskIndex, TaskRef};

/// Version of the layout. Fields of records may be added without a new one.
const FORMAT: u32 = 2;
/// No record is longer; a longer length is damage, seen before anything is allocated.
const RECORD_BYTES_MAX: u32 = 64 << 20;

/// A copy of the state at one index, cheap to take.
#[derive(Clone, Debug)]
pub struct Frozen(Core);

/// How much a state holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Jobs.
    pub jobs: u64,
    /// Tasks of all jobs.
    pub tasks: u64,
    /// Nodes ever registered.
    pub nodes: u64,
}

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("snapshot cannot be read")]
    Io(#[from] std::io::Error),
    /// It is not what a snapshot looks like.
    #[error("snapshot record at byte {at} cannot be understood: {why}")]
    Malformed {
        /// Where in the snapshot.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// It was written by a newer version.
    #[error(
        "snapshot has format {0}, this version reads {FORMAT}: use the version that wrote it, or a newer one"
    )]
    Format(u32),
}

#[derive(Encode, Decode)]
enum SnapshotRecord {
    #[n(0)]
    Start(#[n(0)] u32, #[n(1)] StateClock),
    #[n(1)]
    Queue(#[n(0)] Queue),
    #[n(2)]
    Class(#[n(0)] Option<Class>),
    #[n(3)]
    /// With its specification, encoded: the last bytes of the record, so that it can be read alone.
    Job(
        #[n(0)] Box<JobHead>,
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    /// Of the job before it.
    #[n(4)]
    Block(#[n(0)] u32, #[n(1)] Block),
    /// Tasks to be retried of the job before it.
    #[n(5)]
    Again(#[n(0)] Vec<TaskIndex>),
    /// Of the job before it.
    #[n(6)]
    Past(#[n(0)] TaskIndex, #[n(1)] u32, #[n(2)] PastAttempt),
    #[n(7)]
    Node(#[n(0)] Box<NodeHead>),
    /// Of the node before it.
    #[n(8)]
    Run(#[n(0)] TaskRunKey, #[n(1)] TaskRun),
    /// Of the node before it.
    #[n(9)]
    JobHere(#[n(0)] JobId, #[n(1)] JobHere),
    /// Of the node before it.
    #[n(10)]
    Order(#[n(0)] u64, #[n(1)] JobId, #[n(2)] TaskIndex, #[n(3)] GivenOrder),
    /// Of the node before it.
    #[n(11)]
    Gpus(#[n(0)] TaskRef, #[n(1)] Vec<(u16, u32)>),
    #[n(12)]
    Request(#[n(0)] RequestKey, #[n(1)] JobId),
    #[n(13)]
    Deadline(#[n(0)] u64, #[n(1)] Due),
    #[n(14)]
    Finished(#[n(0)] u64, #[n(1)] JobId),
    #[n(15)]
    End,
    #[n(16)]
    Server(#[n(0)] ServerRecord),
    #[n(17)]
    Retention(#[n(0)] Retention),
    #[n(18)]
    Pool(#[n(0)] Pool),
    /// In milliseconds.
    #[n(19)]
    HalfLife(#[n(0)] u64),
    #[n(22)]
    Account(#[n(0)] Account),
    #[n(23)]
    Party(#[n(0)] Party),
    #[n(30)]
    Usage(#[n(0)] DayOf, #[n(1)] Used),
    /// The last day of which usage was forgotten, since 1970 in UTC.
    #[n(31)]
    UsageForgotten(#[n(0)] u32),
    #[n(26)]
    Maintenance(#[n(0)] String, #[n(1)] Maintenance),
    #[n(20)]
    Namespace(#[n(0)] NamespaceHead),
    #[n(21)]
    Token(#[n(0)] Box<Token>),
    #[n(24)]
    RemovedNode(#[n(0)] RemovedNode),
}

impl State {
    /// A copy of the state as it is, in microseconds; it can be written while `apply` goes on.
    pub fn freeze(&self) -> Frozen {
        Frozen(self.core.clone())
    }

    /// A fingerprint of everything that is replicated: equal on all servers at equal index, and after snapshot and replay.
    pub fn digest(&self) -> u64 {
        self.freeze().digest()
    }

    /// Reads what [`Frozen::write`] wrote. With a `source` from which parts of it can be read again, inputs of finished jobs are left there.
    pub fn read_snapshot(
        input: &mut dyn Read,
        source: Option<Arc<dyn SpecFile>>,
    ) -> Result<State, SnapshotError> {
        SnapshotReader { input, at: 0, source }.core().map(State::from_core)
    }
}

impl Frozen {
    /// Index of the last entry in it.
    pub fn index(&self) -> u64 {
        self.0.clock.index
    }

    /// The leader's wall clock at that entry.
    pub fn wall_ms(&self) -> u64 {
        self.0.clock.wall_ms
    }

    /// How much it holds.
    pub fn holds(&self) -> Holds {
        let tasks = self.0.jobs.values().map(|job| u64::from(job.tasks())).sum();
        Holds { jobs: self.0.jobs.len() as u64, tasks, nodes: self.0.nodes.len() as u64 }
    }

    /// See [`State::digest`].
    pub fn digest(&self) -> u64 {
        struct Hash(xxhash_rust::xxh3::Xxh3);
        impl Write for Hash {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut hash = Hash(xxhash_rust::xxh3::Xxh3::new());
        let mut out = SnapshotWriter { out: &mut hash, buffer: Vec::new(), at: 0, written: None };
        self.write_to(&mut out).expect("hashing cannot fail");
        hash.0.digest()
    }

    /// Writes the state as a stream of records. Says where the jobs are in it, for [`State::stored`].
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<Vec<Written>> {
        let mut out = SnapshotWriter { out, buffer: Vec::new(), at: 0, written: Some(Vec::new()) };
        self.write_to(&mut out)?;
        Ok(out.written.unwrap_or_default())
    }

    fn write_to(&self, out: &mut SnapshotWriter<'_>) -> std::io::Result<()> {
        let core = &self.0;
        out.put(&SnapshotRecord::Start(FORMAT, core.clock))?;
        out.put(&SnapshotRecord::Retention(core.retention))?;
        for pool in core.pools.iter() {
            out.put(&SnapshotRecord::Pool((**pool).clone()))?;
        }
        for (name, window) in &core.maintenance {
            out.put(&SnapshotRecord::Maintenance(name.clone(), window.clone()))?;
        }
        out.put(&SnapshotRecord::HalfLife(core.accounts.half_life_ms))?;
        for account in core.accounts.rows.iter() {
            out.put(&SnapshotRecord::Account(account.clone()))?;
        }
        for party in core.accounts.parties.iter() {
            out.put(&SnapshotRecord::Party(party.clone()))?;
        }
        out.usage(&core.ledger)?;
        for queue in core.queues.iter() {
            out.put(&SnapshotRecord::Queue((**queue).clone()))?;
        }
        for class in core.classes.iter() {
            out.put(&SnapshotRecord::Class(class.as_deref().cloned()))?;
        }
        for job in core.jobs.values() {
            out.job(job)?;
        }
        for node in core.nodes.iter() {
            out.node(node)?;
        }
        for (key, job) in &core.requests {
            out.put(&SnapshotRecord::Request(key.clone(), *job))?;
        }
        for (at, due) in &core.deadlines {
            out.put(&SnapshotRecord::Deadline(*at, due.clone()))?;
        }
        for (at, job) in &core.finished {
            out.put(&SnapshotRecord::Finished(*at, *job))?;
        }
        for namespace in core.namespaces.values() {
            out.put(&SnapshotRecord::Namespace(namespace.clone()))?;
        }
        for token in core.tokens.values() {
            out.put(&SnapshotRecord::Token(Box::new((**token).clone())))?;
        }
        for (name, at) in &core.removed_nodes {
            out.put(&SnapshotRecord::RemovedNode(RemovedNode { name: name.clone(), at: *at }))?;
        }
        for server in core.servers.values() {
            out.put(&SnapshotRecord::Server(server.clone()))?;
        }
        out.put(&SnapshotRecord::End)
    }
}

struct SnapshotWriter<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    at: u64,
    /// Where specifications are; without it only their checksums are written.
    written: Option<Vec<Written>>,
}

impl SnapshotWriter<'_> {
    fn put(&mut self, record: &SnapshotRecord) -> std::io::Result<()> {
        self.buffer.clear();
        minicbor::encode(record, &mut self.buffer).expect("writing to memory cannot fail");
        self.out.write_all(&(self.buffer.len() as u32).to_be_bytes())?;
        self.at += 4 + self.buffer.len() as u64;
        self.out.write_all(&self.buffer)
    }

    fn head(&mut self, job: &Job) -> std::io::Result<()> {
        let head = Box::new(job.head.clone());
        let (bytes, hash) = match job.stored.as_ref().filter(|_| job.is_lean) {
            Some((_, stored)) if self.written.is_none() => (Vec::new(), stored.place.hash),
            Some((_, stored)) => (stored.bytes()?, stored.place.hash),
            None => {
                let bytes = minicbor::to_vec(&*job.spec).expect("writing to memory cannot fail");
                let hash = checksum(&bytes);
                (bytes, hash)
            }
        };
        if self.written.is_none() {
            return self.put(&SnapshotRecord::Job(head, hash.to_be_bytes().to_vec()));
        }
        let (len, sum) = (bytes.len() as u32, checksum(&bytes));
        self.put(&SnapshotRecord::Job(head, bytes))?;
        let place = StoredPlace { at: self.at - u64::from(len), len, sum, hash };
        let written = Written { job: job.head.id, version: job.head.spec_version, place };
        self.written.get_or_insert_default().push(written);
        Ok(())
    }

    fn job(&mut self, job: &Job) -> std::io::Result<()> {
        self.head(job)?;
        for (number, block) in &job.blocks {
            self.put(&SnapshotRecord::Block(*number, (**block).clone()))?;
        }
        let again: Vec<TaskIndex> = job.again.iter().copied().collect();
        for part in again.chunks(1 << 16) {
            self.put(&SnapshotRecord::Again(part.to_vec()))?;
        }
        for ((index, attempt), past) in &job.past {
            self.put(&SnapshotRecord::Past(*index, *attempt, past.clone()))?;
        }
        Ok(())
    }

    fn usage(&mut self, ledger: &Ledger) -> std::io::Result<()> {
        for (key, used) in &ledger.days {
            self.put(&SnapshotRecord::Usage(*key, *used))?;
        }
        ledger.forgotten.map_or(Ok(()), |day| self.put(&SnapshotRecord::UsageForgotten(day)))
    }

    fn node(&mut self, node: &Node) -> std::io::Result<()> {
        self.put(&SnapshotRecord::Node(Box::new(node.head.clone())))?;
        for (key, run) in &node.runs {
            self.put(&SnapshotRecord::Run(*key, *run))?;
        }
        for (job, here) in &node.jobs {
            self.put(&SnapshotRecord::JobHere(*job, *here))?;
        }
        for ((index, job, task), order) in &node.orders {
            self.put(&SnapshotRecord::Order(*index, *job, *task, *order))?;
        }
        for (task, gpus) in &node.gpus {
            self.put(&SnapshotRecord::Gpus(*task, gpus.clone()))?;
        }
        Ok(())
    }
}

struct SnapshotReader<'a> {
    input: &'a mut dyn Read,
    at: u64,
    source: Option<Arc<dyn SpecFile>>,
}

impl SnapshotReader<'_> {
    fn malformed(&self, why: impl ToString) -> SnapshotError {
        SnapshotError::Malformed { at: self.at, why: why.to_string() }
    }

    fn next(&mut self) -> Result<SnapshotRecord, SnapshotError> {
        let mut prefix = [0; 4];
        self.input.read_exact(&mut prefix)?;
        let length = u32::from_be_bytes(prefix);
        if length > RECORD_BYTES_MAX {
            return Err(self.malformed(format!("length {length}")));
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        let record = minicbor::decode(&bytes).map_err(|e| self.malformed(e))?;
        self.at += 4 + u64::from(length);
        Ok(record)
    }

    fn core(&mut self) -> Result<Core, SnapshotError> {
        let SnapshotRecord::Start(format, clock) = self.next()? else {
            return Err(self.malformed("no start"));
        };
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let mut core = Core::new();
        core.clock = clock;
        core.queues = SharedTable::default();
        core.pools = SharedTable::default();
        let mut job: Option<Job> = None;
        let mut node: Option<Node> = None;
        loop {
            let record = self.next()?;
            if matches!(record, SnapshotRecord::End) {
                break;
            }
            self.take(record, &mut core, &mut job, &mut node)?;
        }
        flush(&mut core, &mut job, &mut node);
        Ok(core)
    }

    fn take(
        &self,
        record: SnapshotRecord,
        core: &mut Core,
        job: &mut Option<Job>,
        node: &mut Option<Node>,
    ) -> Result<(), SnapshotError> {
        let orphan = || self.malformed("a part without its whole");
        match record {
            SnapshotRecord::Start(..) | SnapshotRecord::End => return Err(self.malformed("a second start")),
            SnapshotRecord::Retention(retention) => core.retention = retention,
            SnapshotRecord::Pool(pool) => drop(core.pools.push(Arc::new(pool))),
            SnapshotRecord::Maintenance(name, window) => drop(core.maintenance.insert(name, window)),
            SnapshotRecord::HalfLife(ms) => core.accounts.half_life_ms = ms,
            SnapshotRecord::Account(account) => drop(core.accounts.rows.push(account)),
            SnapshotRecord::Party(party) => drop(core.accounts.parties.push(party)),
            SnapshotRecord::Usage(key, used) => drop(core.ledger.days.insert(key, used)),
            SnapshotRecord::UsageForgotten(day) => core.ledger.forgotten = Some(day),
            SnapshotRecord::Queue(queue) => drop(core.queues.push(Arc::new(queue))),
            SnapshotRecord::Class(class) => drop(core.classes.push(class.map(Arc::new))),
            SnapshotRecord::Job(head, spec) => {
                flush(core, job, node);
                *job = Some(self.job(*head, &spec)?);
            }
            SnapshotRecord::Block(number, block) => {
                job.as_mut().ok_or_else(orphan)?.blocks.insert(number, Arc::new(block));
            }
            SnapshotRecord::Again(indices) => job.as_mut().ok_or_else(orphan)?.again.extend(indices),
            SnapshotRecord::Past(index, attempt, past) => {
                job.as_mut().ok_or_else(orphan)?.past.insert((index, attempt), past);
            }
            SnapshotRecord::Node(head) => {
                flush(core, job, node);
                *node = Some(Node::new(*head));
            }
            SnapshotRecord::Run(key, run) => drop(node.as_mut().ok_or_else(orphan)?.runs.insert(key, run)),
            SnapshotRecord::JobHere(id, here) => {
                node.as_mut().ok_or_else(orphan)?.jobs.insert(id, here);
            }
            SnapshotRecord::Order(index, id, task, order) => {
                node.as_mut().ok_or_else(orphan)?.orders.insert((index, id, task), order);
            }
            SnapshotRecord::Gpus(task, gpus) => {
                drop(node.as_mut().ok_or_else(orphan)?.gpus.insert(task, gpus))
            }
            SnapshotRecord::Request(key, id) => drop(core.requests.insert(key, id)),
            SnapshotRecord::Deadline(at, due) => drop(core.deadlines.insert((at, due))),
            SnapshotRecord::Finished(at, id) => drop(core.finished.insert((at, id))),
            SnapshotRecord::Server(server) => drop(core.servers.insert(server.id, server)),
            SnapshotRecord::Namespace(head) => drop(core.namespaces.insert(head.name.clone(), head)),
            SnapshotRecord::RemovedNode(removed) => drop(core.removed_nodes.insert(removed.name, removed.at)),
            SnapshotRecord::Token(token) => drop(core.tokens.insert(token.id.clone(), Arc::new(*token))),
        }
        Ok(())
    }
}

impl SnapshotReader<'_> {
    /// A job whose record was just read.
    fn job(&self, head: JobHead, bytes: &[u8]) -> Result<Job, SnapshotError> {
        let spec: JobSpec = minicbor::decode(bytes).map_err(|e| self.malformed(e))?;
        let stored = self.source.as_ref().map(|source| {
            let (len, sum) = (bytes.len() as u32, checksum(bytes));
            let hash = minicbor::to_vec(&spec).map_or(sum, |bytes| checksum(&bytes));
            let place = StoredPlace { at: self.at - u64::from(len), len, sum, hash };
            (head.spec_version, Stored { source: Arc::clone(source), place })
        });
        let mut job = Job { stored, ..Job::new(head, Arc::new(spec)) };
        job.slim();
        Ok(job)
    }
}

/// The job or node being read is complete.
fn flush(core: &mut Core, job: &mut Option<Job>, node: &mut Option<Node>) {
    if let Some(job) = job.take() {
        core.jobs.insert(job.head.id, Arc::new(job));
    }
    if let Some(node) = node.take() {
        core.nodes.push(Arc::new(node));
    }
}
