//! Paths and headers, in the one place that server and client share. `{…}` is filled by [`fill`] and read by axum.

/// `POST` submits, `GET` lists.
pub const JOBS: &str = "/v1/jobs";
/// `GET` one job (`?wait_ms=` waits for its end), `PATCH` changes it.
pub const JOB: &str = "/v1/jobs/{job}";
/// `POST`: stop it, or some of its tasks.
pub const JOB_CANCEL: &str = "/v1/jobs/{job}/cancel";
/// `POST`: start nothing more of it.
pub const JOB_HOLD: &str = "/v1/jobs/{job}/hold";
/// `POST`: undo a hold.
pub const JOB_RELEASE: &str = "/v1/jobs/{job}/release";
/// `POST`: run tasks of it again, as a new job.
pub const JOB_RETRY: &str = "/v1/jobs/{job}/retry";
/// `GET`: why it waits.
pub const JOB_EXPLAIN: &str = "/v1/jobs/{job}/explain";
/// `POST`: what would come of a job, without submitting it.
pub const PLAN: &str = "/v1/plan";
/// `POST`: whether jobs would be taken, without submitting them.
pub const CHECK: &str = "/v1/check";
/// `GET`: its tasks.
pub const TASKS: &str = "/v1/jobs/{job}/tasks";
/// `GET`: one task by number.
pub const TASK: &str = "/v1/jobs/{job}/tasks/{task}";
/// `GET`: captured output of an attempt, as bytes.
pub const TASK_LOGS: &str = "/v1/jobs/{job}/tasks/{task}/logs";
/// `GET`: nodes.
pub const NODES: &str = "/v1/nodes";
/// `DELETE`: shut one out.
pub const NODE: &str = "/v1/nodes/{node}";
/// `POST`: take no new work there.
pub const NODE_DRAIN: &str = "/v1/nodes/{node}/drain";
/// `POST`: take work there again.
pub const NODE_RESUME: &str = "/v1/nodes/{node}/resume";
/// `GET`: queues.
pub const QUEUES: &str = "/v1/queues";
/// `PUT`: make or change one, `DELETE`: delete it.
pub const QUEUE: &str = "/v1/queues/{queue}";
/// `GET`: pools.
pub const POOLS: &str = "/v1/pools";
/// `PUT`: make or change one, `DELETE`: delete it.
pub const POOL: &str = "/v1/pools/{pool}";
/// `GET`: times of maintenance.
pub const MAINTENANCES: &str = "/v1/maintenance";
/// `PUT`, `DELETE`: one of them.
pub const MAINTENANCE: &str = "/v1/maintenance/{window}";
/// `GET`: shares of accounts and users, `PUT` sets them.
pub const SHARES: &str = "/v1/shares";
/// `GET`: what was used, by user, account or queue.
pub const USAGE: &str = "/v1/usage";
/// `GET`: how long finished jobs are kept, `PUT` changes it.
pub const RETENTION: &str = "/v1/retention";
/// `GET`: server-sent events.
pub const EVENTS: &str = "/v1/events";
/// `GET` lists those one can see.
pub const NAMESPACES: &str = "/v1/namespaces";
/// `PUT`: make one.
pub const NAMESPACE: &str = "/v1/namespaces/{namespace}";
/// `GET` lists, `POST` makes one.
pub const TOKENS: &str = "/v1/tokens";
/// `POST`: make it worthless.
pub const TOKEN_REVOKE: &str = "/v1/tokens/{token}/revoke";
/// Between servers, on a request that is passed on: kind and name in the certificate that came with it.
pub const PEER_HEADER: &str = "taskyard-peer";
/// Beside it: the entry of the log by which that one joined.
pub const PEER_JOINED_HEADER: &str = "taskyard-peer-joined";
/// `POST`: have a key signed.
pub const CERTIFICATES: &str = "/v1/certificates";
/// `GET`: who asks.
pub const WHOAMI: &str = "/v1/whoami";
/// `GET`: the cluster.
pub const CLUSTER: &str = "/v1/cluster";
/// `GET`: its servers; `POST` admits a new one.
pub const SERVERS: &str = "/v1/cluster/servers";
/// `PATCH` changes what a server is meant to be, `DELETE` lets it go.
pub const SERVER: &str = "/v1/cluster/servers/{server}";
/// `POST`: hand the leadership to another server.
pub const TRANSFER: &str = "/v1/cluster/transfer";
/// `POST` makes a backup, `GET` lists them.
pub const BACKUPS: &str = "/v1/backups";
/// `POST`: read one and compare it with its manifest.
pub const BACKUP_VERIFY: &str = "/v1/backups/{backup}/verify";
/// `GET`: this API as a document.
pub const OPENAPI: &str = "/openapi.json";
/// `GET`: metrics for Prometheus.
pub const METRICS: &str = "/metrics";
/// `GET`: the process answers.
pub const HEALTHZ: &str = "/healthz";
/// `GET`: it can serve requests that change something.
pub const READYZ: &str = "/readyz";
/// `GET`: it leads.
pub const LEADERZ: &str = "/leaderz";

/// Query of reads: `stale` answers from what the server happens to know.
pub const CONSISTENCY: &str = "consistency";
/// Answer of stale reads: for how long, in milliseconds, the server had applied nothing new.
pub const AGE_HEADER: &str = "taskyard-age-ms";
/// Request: which server passed it on.
pub const FORWARDED_HEADER: &str = "taskyard-forwarded-by";
/// Answer: nothing happened, because the server does not lead.
pub const NOT_LEADING_HEADER: &str = "taskyard-not-leading";
/// Request: who asks, where the server asks for no credential. Elsewhere it is the credential that says so.
pub const USER_HEADER: &str = "taskyard-user";
/// Answer of logs: which attempt they are of.
pub const ATTEMPT_HEADER: &str = "taskyard-attempt";
/// Answer of logs: offset of the first byte of the body in the stream.
pub const OFFSET_HEADER: &str = "taskyard-offset";

/// Paths that each server answers for itself, under any leader: they take no [`CONSISTENCY`].
pub const OF_EACH_SERVER: [&str; 6] = [HEALTHZ, READYZ, LEADERZ, METRICS, OPENAPI, EVENTS];

/// Puts values into a path, in order, with everything that is not a plain character escaped.
pub fn fill(route: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut out = String::with_capacity(route.len() + 16);
    let mut rest = route;
    while let Some((head, tail)) = rest.split_once('{') {
        out.push_str(head);
        out.push_str(&escape(values.next().copied().unwrap_or_default()));
        rest = tail.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}

/// Escapes a path segment or a query value.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_and_escapes() {
        assert_eq!(fill(TASK_LOGS, &["12", "5"]), "/v1/jobs/12/tasks/5/logs");
        assert_eq!(fill(QUEUE, &["a/b c"]), "/v1/queues/a%2Fb%20c");
    }
}
