//! A new job.

use crate::command::Submit;
use crate::job::{Head, Job};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::{Due, RequestKey, State};
use std::sync::Arc;
use taskyard_model::{JobId, JobSpec, QueueId, limits};

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
        let Some(queue) = self.queue_named(&submit.spec.queue) else {
            return Reply::Rejected(Rejection::NoQueue(submit.spec.queue.clone()));
        };
        let config = &self.core.queues[queue.0 as usize - 1].config;
        let limit_ms = config.limit_ms(submit.spec.time_limit_ms);
        let limited = (limit_ms != submit.spec.time_limit_ms).then(|| {
            let spec = JobSpec { time_limit_ms: limit_ms, ..submit.spec.clone() };
            Submit { spec, ..submit.clone() }
        });
        let submit = limited.as_ref().unwrap_or(submit);
        if let Err(invalid) = self.admit(queue, &submit.spec) {
            return Reply::Rejected(Rejection::Unfit(invalid));
        }
        let outlook = match self.outlook(&submit.spec.after) {
            Ok(outlook) => outlook,
            Err(rejection) => return Reply::Rejected(rejection),
        };
        let class = match self.class_of(queue, &submit.owner, &submit.spec) {
            Ok(class) => class,
            Err(rejection) => return Reply::Rejected(rejection),
        };
        self.core.clock.last_job += 1;
        let id = JobId(self.core.clock.last_job);
        let mut head = Head::new(id, submit, queue, class);
        head.submitted_ms = self.core.clock.now_ms;
        head.submitted_wall_ms = self.core.clock.wall_ms;
        head.waits = outlook.waits;
        head.begin = submit.spec.begin.map(|begin| self.not_before(begin));
        let job = Job {
            head,
            spec: Arc::new(submit.spec.clone()),
            blocks: imbl::OrdMap::new(),
            again: imbl::OrdSet::new(),
            past: imbl::OrdMap::new(),
        };
        let tasks = job.tasks();
        self.view_new_job(&job);
        self.note_waits(id, &job.head.waits);
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

    fn remember_request(&mut self, key: RequestKey, job: JobId) {
        if key.1.is_empty() {
            return;
        }
        let until = self.core.clock.now_ms + limits::REQUEST_ID_KEPT_MS;
        self.core.deadlines.insert((until, Due::ForgetRequest(key.0.clone(), key.1.clone())));
        self.core.requests.insert(key, job);
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

impl Head {
    pub(crate) fn new(id: JobId, submit: &Submit, queue: QueueId, class: taskyard_model::ClassId) -> Head {
        let mut counts = [0; 6];
        counts[Phase::Pending as usize] = submit.spec.array.count;
        Head {
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
        }
    }
}
