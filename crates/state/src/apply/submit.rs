//! A new job.

use crate::command::Submit;
use crate::core::{Due, RequestKey};
use crate::job::{Job, JobHead};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::state::State;
use std::borrow::Cow;
use std::sync::Arc;
use taskyard_model::{Invalid, JobId, JobSpec, NodeId, NodeView, QueueId, limits};

impl State {
    pub(crate) fn submit(&mut self, submit: &Submit, events: &mut Vec<Event>) -> Reply {
        let key = request_key(submit);
        if let Some(&job) = self.core.requests.get(&key) {
            let tasks = self.core.jobs.get(&job).map_or(0, |j| j.tasks());
            return Reply::Submitted { job, tasks, duplicate: true };
        }
        let namespace = submit.spec.namespace.as_str();
        if !self.has_namespace(namespace) {
            return Reply::Rejected(Rejection::NoNamespace(namespace.to_owned()));
        }
        let Some(queue) = self.core.queue_named(&submit.spec.queue) else {
            return Reply::Rejected(Rejection::NoQueue(submit.spec.queue.clone()));
        };
        let (submit, targets) = match self.admitted(queue, submit) {
            Ok(admitted) => admitted,
            Err(invalid) => return Reply::Rejected(Rejection::Unfit(invalid)),
        };
        let submit = &*submit;
        let outlook = match self.outlook(&submit.spec.after) {
            Ok(outlook) => outlook,
            Err(rejection) => return Reply::Rejected(rejection),
        };
        if let Some(full) = self.refusal_of_more(&submit.spec) {
            return Reply::Rejected(full);
        }
        let id = JobId(self.core.clock.last_job + 1);
        let class = match self.class_of(queue, &submit.owner, &submit.spec, id) {
            Ok(class) => class,
            Err(rejection) => return Reply::Rejected(rejection),
        };
        self.core.clock.last_job = id.0;
        let mut head = JobHead::new(id, submit, queue, class);
        head.submitted_ms = self.core.clock.now_ms;
        head.submitted_wall_ms = self.core.clock.wall_ms;
        head.waits = outlook.waits;
        head.begin = submit.spec.begin.map(|begin| self.not_before(begin));
        // Tasks of a broadcast are taken by node and not in order, as those are that are tried again.
        let again = (0..targets.len() as u32).collect();
        head.next = targets.len() as u32;
        head.targets = targets;
        let job = Job { again, ..Job::new(head, Arc::new(submit.spec.clone())) };
        let tasks = job.tasks();
        self.lookup.memory.add_job(&job);
        self.show_new_job(&job);
        self.lookup.dependants.add(id, &job.head.waits);
        self.note_begin(id, job.head.begin);
        self.core.jobs.insert(id, Arc::new(job));
        self.remember_request(key, id);
        events.push(Event::JobSubmitted { job: id, tasks });
        if let Some(why) = outlook.skip {
            // It is new, so nobody waits for it yet.
            self.skip_job(id, why, events);
        }
        Reply::Submitted { job: id, tasks, duplicate: false }
    }

    /// The job that a submit with this owner, namespace and request id has made already.
    pub fn job_of_request(&self, submit: &Submit) -> Option<JobId> {
        self.core.requests.get(&request_key(submit)).copied()
    }

    fn remember_request(&mut self, key: RequestKey, job: JobId) {
        if key.1.is_empty() {
            return;
        }
        let until = self.core.clock.now_ms + limits::REQUEST_ID_KEPT_MS;
        self.core.deadlines.insert((until, Due::ForgetRequest(key.0.clone(), key.1.clone())));
        self.core.requests.insert(key, job);
    }
}

impl State {
    /// A job as its queue takes it: with the time limit it gets there, and as many tasks as a broadcast has nodes, which come with it.
    fn admitted<'s>(
        &self,
        queue: QueueId,
        submit: &'s Submit,
    ) -> Result<(Cow<'s, Submit>, Vec<NodeId>), Invalid> {
        let mut submit = Cow::Borrowed(submit);
        let limit_ms = self.core.queues[queue].config.limit_ms(submit.spec.time_limit_ms);
        if limit_ms != submit.spec.time_limit_ms {
            submit.to_mut().spec.time_limit_ms = limit_ms;
        }
        self.admit(queue, &submit.spec)?;
        let targets = self.targets(queue, &submit.spec)?;
        if !targets.is_empty() {
            submit.to_mut().spec.array.count = targets.len() as u32;
        }
        Ok((submit, targets))
    }

    /// The nodes of a broadcast: all that are up and could run it. Empty for any other job.
    fn targets(&self, queue: QueueId, spec: &JobSpec) -> Result<Vec<NodeId>, Invalid> {
        if !spec.affinity.broadcast {
            return Ok(Vec::new());
        }
        let constraint = self.core.constraint(queue, spec);
        let pool = self.view.queues[queue].pool;
        let could = |node: &&NodeView| {
            node.pool == pool && node.status.is_alive() && node.could_hold(&spec.request, &constraint).is_ok()
        };
        let targets: Vec<NodeId> = self.view.nodes.iter().filter(could).map(|node| node.id).collect();
        if targets.is_empty() {
            let remedy = "no node that is up could run it: see taskyard nodes, or ask for less";
            return Err(Invalid::new("broadcast", true, remedy));
        }
        Ok(targets)
    }
}

/// Owners have no space in their names, so no two namespaces share a key.
fn request_key(submit: &Submit) -> RequestKey {
    let namespace = &submit.spec.namespace;
    let owner = match namespace.is_default() {
        true => submit.owner.clone(),
        false => format!("{namespace} {}", submit.owner),
    };
    (owner, submit.request_id.clone())
}

impl JobHead {
    pub(crate) fn new(id: JobId, submit: &Submit, queue: QueueId, class: taskyard_model::ClassId) -> JobHead {
        let mut counts = [0; 6];
        counts[Phase::Pending as usize] = submit.spec.array.count;
        JobHead {
            id,
            owner: submit.owner.clone(),
            request_id: submit.request_id.clone(),
            queue,
            class,
            submitted_ms: 0,
            submitted_wall_ms: 0,
            started_wall_ms: None,
            finished_wall_ms: None,
            finished_ms: None,
            held: submit.spec.hold,
            cancelled: false,
            next: 0,
            rest_cancelled: false,
            backing_off: 0,
            counts,
            outcomes: Default::default(),
            spec_version: 0,
            retry_of: submit.retry_of,
            codes: Default::default(),
            waits: Default::default(),
            skip: None,
            skipped: 0,
            ready_ms: 0,
            begin: None,
            targets: Vec::new(),
            input_bytes: submit.spec.input_bytes(),
            other_bytes: submit.spec.other_bytes() + submit.owner.len() as u64,
            failed_too_often: false,
        }
    }
}
