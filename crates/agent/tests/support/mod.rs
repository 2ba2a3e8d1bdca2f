//! A server of the agent protocol that is as small as can be: one job after the other, a fixed number of slots, some
//! tasks held ahead. It checks each report as `apply` does, so that an agent whose usage rises without an entry fails
//! the test.
#![allow(dead_code, clippy::unwrap_used)]

use futures_util::{SinkExt, StreamExt};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use taskyard_model::report::{Finish, Item};
use taskyard_model::{Fence, Incarnation, JobId, JobSpec, NodeId, Outcome, TaskRef};
use taskyard_wire::{
    Codec, FrameError, Granted, Hello, LogChunk, LogRead, Refused, StartRun, ToAgent, ToServer, Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder, Framed};

/// The server's side of the codec: it encodes owned messages.
#[derive(Default)]
pub struct ServerCodec(Codec<ToServer, ToAgent>);

impl Decoder for ServerCodec {
    type Item = ToServer;
    type Error = FrameError;
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<ToServer>, FrameError> {
        self.0.decode(src)
    }
}

impl Encoder<ToAgent> for ServerCodec {
    type Error = FrameError;
    fn encode(&mut self, message: ToAgent, dst: &mut BytesMut) -> Result<(), FrameError> {
        self.0.encode(&message, dst)
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stand {
    /// Assigned ahead, without a place.
    Held,
    /// Has a place.
    Running,
}

pub struct Job {
    pub spec: Arc<JobSpec>,
    next: u32,
    returned: Vec<u32>,
    sent: bool,
    pub ends: BTreeMap<u32, Finish>,
}

#[derive(Default)]
pub struct State {
    pub slots: u32,
    pub held: u32,
    pub lease_ms: u64,
    pub granting: bool,
    pub jobs: BTreeMap<u64, Job>,
    pub live: BTreeMap<TaskRef, (Fence, Stand)>,
    pub hellos: Vec<Hello>,
    pub goodbye: bool,
    pub starts: u64,
    pub reports: u64,
    pub logs: BTreeMap<u64, LogChunk>,
    pub outbox: Vec<ToAgent>,
    pub refuse_lost: bool,
    /// The agent takes no work.
    unready: bool,
    fence: u64,
    sessions: u64,
    incarnation: u64,
    process: u64,
    last_seq: u64,
    running: u32,
    held_now: u32,
    pub wrong: Option<String>,
    /// Why the node cannot start tasks, as it said.
    pub fault: Option<String>,
}

#[derive(Clone)]
pub struct Server {
    pub address: String,
    state: Arc<Mutex<State>>,
    pub changed: Arc<Notify>,
    wake: Arc<Notify>,
}

impl Server {
    pub async fn start(slots: u32, held: u32) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State { slots, held, lease_ms: 15_000, granting: true, ..State::default() };
        let server = Server {
            address: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(state)),
            changed: Arc::default(),
            wake: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.session(stream).await });
            }
        });
        server
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn submit(&self, spec: JobSpec) -> JobId {
        let mut state = self.lock();
        let id = state.jobs.len() as u64 + 1;
        let job = Job { spec: Arc::new(spec), next: 0, returned: vec![], sent: false, ends: BTreeMap::new() };
        state.jobs.insert(id, job);
        self.wake.notify_one();
        JobId(id)
    }

    pub fn send(&self, message: ToAgent) {
        self.lock().outbox.push(message);
        self.wake.notify_one();
    }

    /// Waits until `done` gives something.
    pub async fn until<T>(&self, what: &str, mut done: impl FnMut(&mut State) -> Option<T>) -> T {
        let limit = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if let Some(wrong) = &state.wrong {
                    panic!("{wrong}");
                }
                if let Some(value) = done(&mut state) {
                    return value;
                }
            }
            let waited = tokio::time::timeout(Duration::from_millis(200), changed).await;
            assert!(
                waited.is_ok() || tokio::time::Instant::now() < limit,
                "waited too long for {what}: {}",
                self.lock().summary()
            );
        }
    }

    /// Waits for the end of every task of a job.
    pub async fn ends(&self, job: JobId) -> BTreeMap<u32, Finish> {
        self.until("the job", |s| {
            let job = &s.jobs[&job.0];
            (job.ends.len() as u32 == job.spec.array.count).then(|| job.ends.clone())
        })
        .await
    }

    pub async fn read_log(&self, request: u64, read: LogRead) -> LogChunk {
        self.send(ToAgent::ReadLog(LogRead { request, ..read }));
        self.until("the output", |s| s.logs.remove(&request)).await
    }

    async fn session(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: taskyard-agent/1\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut framed = Framed::new(stream, ServerCodec::default());
        let Some(Ok(ToServer::Hello(hello))) = framed.next().await else { return };
        let (session, mut out) = self.lock().hello(hello);
        loop {
            for message in out.drain(..) {
                if framed.send(message).await.is_err() {
                    return;
                }
            }
            self.changed.notify_waiters();
            tokio::select! {
                message = framed.next() => match message {
                    Some(Ok(message)) => self.lock().message(session, message, &mut out),
                    _ => return,
                },
                () = self.wake.notified() => {}
            }
            let mut state = self.lock();
            if state.sessions != session {
                return;
            }
            out.append(&mut state.outbox);
            state.assign(session, &mut out);
        }
    }
}

impl State {
    fn summary(&self) -> String {
        let State { live, running, held_now, sessions, reports, .. } = self;
        format!("{live:?}, {running} running, {held_now} held, {sessions} sessions, {reports} reports")
    }

    fn hello(&mut self, hello: Hello) -> (u64, Vec<ToAgent>) {
        self.sessions += 1;
        let mut out = Vec::new();
        if hello.incarnation.is_some() && self.refuse_lost {
            out.push(ToAgent::Refused(Refused {
                lost: true,
                message: "lost".into(),
                retry_after_ms: 0,
                leader: None,
            }));
            self.hellos.push(hello);
            return (self.sessions, out);
        }
        if hello.process != self.process {
            self.process = hello.process;
            self.last_seq = 0;
        }
        if hello.incarnation.is_none() {
            self.incarnation += 1;
            self.refuse_lost = false;
            for (task, _) in std::mem::take(&mut self.live) {
                self.jobs.get_mut(&task.job.0).unwrap().returned.push(task.index);
            }
            (self.running, self.held_now) = (0, 0);
        }
        for job in self.jobs.values_mut() {
            job.sent = false;
        }
        self.hellos.push(hello);
        out.push(ToAgent::Welcome(Welcome {
            node: NodeId(1),
            incarnation: Incarnation(self.incarnation),
            term: 1,
            session: self.sessions,
            lease_ms: self.lease_ms,
            heartbeat_ms: self.lease_ms / 5,
            cluster: Some("test".into()),
        }));
        if self.hellos.last().unwrap().incarnation.is_some() {
            self.send_again(&mut out);
        }
        (self.sessions, out)
    }

    fn send_again(&mut self, out: &mut Vec<ToAgent>) {
        let mut all: Vec<_> = self.live.iter().map(|(t, (f, s))| (*f, *t, *s)).collect();
        all.sort_by_key(|(fence, task, _)| (*fence, *task));
        for (fence, task, stand) in all {
            self.send_body(task.job, out);
            out.push(self.start(task, fence, stand == Stand::Held, 1));
        }
    }

    fn send_body(&mut self, id: JobId, out: &mut Vec<ToAgent>) {
        let job = self.jobs.get_mut(&id.0).unwrap();
        if !std::mem::replace(&mut job.sent, true) {
            out.push(ToAgent::Job { job: id, spec: Box::new((*job.spec).clone()), owner: "me".into() });
        }
    }

    fn start(&self, task: TaskRef, fence: Fence, prefetched: bool, count: u32) -> ToAgent {
        let run = StartRun {
            job: task.job,
            first: task.index,
            count,
            attempt: 1,
            fence,
            prefetched,
            group: task.job.0 as u32,
            gpus: vec![],
        };
        ToAgent::Start { term: 1, session: self.sessions, runs: vec![run] }
    }

    fn message(&mut self, session: u64, message: ToServer, out: &mut Vec<ToAgent>) {
        match message {
            ToServer::Hello(_) => self.wrong = Some("a second hello".into()),
            ToServer::Heartbeat { sent_boot_ms, .. } if self.granting => {
                out.push(ToAgent::Granted(Granted {
                    sent_boot_ms,
                    remaining_ms: self.lease_ms,
                    incarnation: Incarnation(self.incarnation),
                    term: 1,
                    session,
                }));
            }
            ToServer::Heartbeat { .. } => {}
            ToServer::Report { seq, items } => {
                if seq > self.last_seq + 1 {
                    self.wrong = Some(format!("report {seq} after {}", self.last_seq));
                }
                if seq == self.last_seq + 1 {
                    self.last_seq = seq;
                    self.reports += 1;
                    self.apply(items);
                }
                out.push(ToAgent::Ack { seq });
            }
            ToServer::Health(health) => {
                self.unready = health.stopping || health.unfit.is_some();
                self.fault = health.unfit;
            }
            ToServer::Log(chunk) => drop(self.logs.insert(chunk.request, chunk)),
            ToServer::Goodbye => {
                self.goodbye = true;
                self.live.clear();
            }
        }
    }

    fn apply(&mut self, items: Vec<Item>) {
        let before = self.running;
        let mut vacant: BTreeMap<JobId, u32> = BTreeMap::new();
        for item in items {
            match item {
                Item::Started(start) => {
                    self.starts += 1;
                    match self.live.get_mut(&start.task) {
                        Some((fence, stand)) if *fence == start.fence => {
                            if *stand == Stand::Held {
                                *stand = Stand::Running;
                                self.held_now -= 1;
                                match vacant.get_mut(&start.task.job).filter(|n| **n > 0) {
                                    Some(n) => *n -= 1,
                                    None => self.wrong = Some(format!("no place for {start:?}")),
                                }
                            }
                        }
                        _ => self.wrong = Some(format!("unknown {start:?}")),
                    }
                }
                Item::Finished(finish) => {
                    let Some((fence, stand)) = self.live.get(&finish.task).copied() else { continue };
                    if fence != finish.fence {
                        continue;
                    }
                    self.live.remove(&finish.task);
                    match stand {
                        Stand::Running => *vacant.entry(finish.task.job).or_default() += 1,
                        Stand::Held => self.held_now -= 1,
                    }
                    let job = self.jobs.get_mut(&finish.task.job.0).unwrap();
                    if finish.end.outcome.is_infrastructure() {
                        job.returned.push(finish.task.index);
                    } else if job.ends.insert(finish.task.index, finish.clone()).is_some() {
                        self.wrong = Some(format!("ended twice: {finish:?}"));
                    }
                }
                Item::Returned(returned) => {
                    let Some((_, stand)) = self.live.remove(&returned.task) else { continue };
                    match stand {
                        Stand::Running => *vacant.entry(returned.task.job).or_default() += 1,
                        Stand::Held => self.held_now -= 1,
                    }
                    self.jobs.get_mut(&returned.task.job.0).unwrap().returned.push(returned.task.index);
                }
            }
        }
        self.running -= vacant.values().sum::<u32>();
        assert!(self.running <= before);
    }

    fn assign(&mut self, session: u64, out: &mut Vec<ToAgent>) {
        if self.sessions != session || self.goodbye || self.unready || self.slots == 0 {
            return;
        }
        let ids: Vec<u64> = self.jobs.keys().copied().collect();
        for id in ids {
            self.fence += 1;
            let fence = Fence(self.fence);
            while self.running < self.slots
                && let Some((first, count)) = self.take(id, self.slots - self.running)
            {
                self.running += count;
                self.assign_run(id, first, count, fence, Stand::Running, out);
            }
            let running = self.live.iter().any(|(t, (_, s))| t.job.0 == id && *s == Stand::Running);
            while running
                && self.held_now * 2 < self.held
                && let Some((first, count)) = self.take(id, self.held - self.held_now)
            {
                self.held_now += count;
                self.assign_run(id, first, count, fence, Stand::Held, out);
            }
        }
    }

    fn assign_run(
        &mut self,
        id: u64,
        first: u32,
        count: u32,
        fence: Fence,
        stand: Stand,
        out: &mut Vec<ToAgent>,
    ) {
        self.send_body(JobId(id), out);
        for index in first..first + count {
            self.live.insert(TaskRef { job: JobId(id), index }, (fence, stand));
        }
        let task = TaskRef { job: JobId(id), index: first };
        // What is assigned together is sent together, as a plan is.
        let start = self.start(task, fence, stand == Stand::Held, count);
        match (out.last_mut(), start) {
            (Some(ToAgent::Start { runs, .. }), ToAgent::Start { runs: more, .. }) => runs.extend(more),
            (_, start) => out.push(start),
        }
    }

    fn take(&mut self, id: u64, most: u32) -> Option<(u32, u32)> {
        let job = self.jobs.get_mut(&id)?;
        if let Some(index) = job.returned.pop() {
            return Some((index, 1));
        }
        let count = most.min(job.spec.array.count - job.next);
        let first = job.next;
        job.next += count;
        (count > 0).then_some((first, count))
    }
}

/// A spec of one command, as an array.
pub fn array(argv: &[&str], count: u32) -> JobSpec {
    let mut spec = JobSpec::command(argv.iter().map(|a| (*a).to_owned()).collect());
    spec.array.count = count;
    spec
}

/// Outcome and code of each end.
pub fn outcomes(ends: &BTreeMap<u32, Finish>) -> Vec<(Outcome, i32)> {
    ends.values().map(|f| (f.end.outcome, f.end.code)).collect()
}
