//! One method for each operation of the API.

use crate::connection::Call;
use crate::{Client, Result};
use hyper::Method;
use serde::Serialize;
use std::time::Duration;
use taskyard_api as api;
use taskyard_api::routes::{self, fill};

impl Client {
    /// Submits a job. A request without a request id gets one, so that trying again is safe.
    pub async fn submit(&self, mut request: api::SubmitRequest) -> Result<api::SubmitResponse> {
        request.request_id.get_or_insert_with(crate::request_id);
        self.json(Call::json(Method::POST, routes::JOBS.into(), &request)).await
    }

    /// What would come of a job. Nothing is submitted.
    pub async fn plan(&self, request: &api::SubmitRequest) -> Result<api::JobPlan> {
        self.json(Call::json(Method::POST, routes::PLAN.into(), request)).await
    }

    /// Which of these jobs would be refused. Nothing is submitted.
    pub async fn check(&self, request: &api::CheckRequest) -> Result<api::CheckAnswer> {
        self.json(Call::json(Method::POST, routes::CHECK.into(), request)).await
    }

    /// One page of jobs, newest first.
    pub async fn jobs(&self, query: &api::JobsQuery) -> Result<api::Page<api::JobSummary>> {
        self.json(Call::get(with_query(routes::JOBS, query))).await
    }

    /// One job. With `wait_ms` the answer comes when it has finished, or after that time.
    pub async fn job(&self, job: u64, query: &api::JobQuery) -> Result<api::JobDetail> {
        let mut call = Call::get(with_query(&fill(routes::JOB, &[&job.to_string()]), query));
        call.extra = Duration::from_millis(query.wait_ms.unwrap_or(0));
        self.json(call).await
    }

    /// Changes a job.
    pub async fn update(&self, job: u64, update: &api::UpdateJob) -> Result<api::ActResponse> {
        self.json(Call::json(Method::PATCH, fill(routes::JOB, &[&job.to_string()]), update)).await
    }

    /// Stops a job, or some of its tasks.
    pub async fn cancel(&self, job: u64, act: &api::ActRequest) -> Result<api::ActResponse> {
        self.act(routes::JOB_CANCEL, job, act).await
    }

    /// Starts nothing more of a job.
    pub async fn hold(&self, job: u64) -> Result<api::ActResponse> {
        self.act(routes::JOB_HOLD, job, &api::ActRequest::default()).await
    }

    /// Undoes a hold.
    pub async fn release(&self, job: u64) -> Result<api::ActResponse> {
        self.act(routes::JOB_RELEASE, job, &api::ActRequest::default()).await
    }

    async fn act(&self, route: &str, job: u64, act: &api::ActRequest) -> Result<api::ActResponse> {
        self.json(Call::json(Method::POST, fill(route, &[&job.to_string()]), act)).await
    }

    /// Runs tasks of a job again, as a new job.
    pub async fn retry(&self, job: u64, mut retry: api::RetryRequest) -> Result<api::SubmitResponse> {
        retry.request_id.get_or_insert_with(crate::request_id);
        self.json(Call::json(Method::POST, fill(routes::JOB_RETRY, &[&job.to_string()]), &retry)).await
    }

    /// One page of a job's tasks.
    pub async fn tasks(&self, job: u64, query: &api::TasksQuery) -> Result<api::Page<api::Task>> {
        self.json(Call::get(with_query(&fill(routes::TASKS, &[&job.to_string()]), query))).await
    }

    /// One task with its attempts.
    pub async fn task(&self, job: u64, task: u64) -> Result<api::Task> {
        self.json(Call::get(fill(routes::TASK, &[&job.to_string(), &task.to_string()]))).await
    }

    /// Why a job, or one task of it, waits.
    pub async fn explain(&self, job: u64, task: Option<u64>) -> Result<api::Explanation> {
        let path = fill(routes::JOB_EXPLAIN, &[&job.to_string()]);
        self.json(Call::get(with_query(&path, &api::ExplainQuery { task }))).await
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<api::Page<api::Node>> {
        self.json(Call::get(routes::NODES.into())).await
    }

    /// Sends no new work to a node.
    pub async fn drain(&self, node: &str, request: &api::DrainRequest) -> Result<api::NodeAct> {
        self.json(Call::json(Method::POST, fill(routes::NODE_DRAIN, &[node]), request)).await
    }

    /// Sends work to a node again.
    pub async fn resume(&self, node: &str) -> Result<api::NodeAct> {
        self.json(Call::new(Method::POST, fill(routes::NODE_RESUME, &[node]))).await
    }

    /// Shuts a node out; by force also one that is up and not drained, or never registered.
    pub async fn remove_node(&self, node: &str, force: bool) -> Result<api::NodeRemoved> {
        let path = with_query(&fill(routes::NODE, &[node]), &api::RemoveQuery { force });
        self.json(Call::new(Method::DELETE, path)).await
    }

    /// All queues.
    pub async fn queues(&self) -> Result<api::Page<api::Queue>> {
        self.json(Call::get(routes::QUEUES.into())).await
    }

    /// Makes or changes a queue.
    pub async fn set_queue(
        &self,
        queue: &str,
        query: &api::QueueQuery,
        settings: &api::QueueSettings,
    ) -> Result<api::Queue> {
        let path = with_query(&fill(routes::QUEUE, &[queue]), query);
        self.json(Call::json(Method::PUT, path, settings)).await
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, queue: &str) -> Result<api::Queue> {
        self.json(Call::new(Method::DELETE, fill(routes::QUEUE, &[queue]))).await
    }

    /// All pools.
    pub async fn pools(&self) -> Result<api::Page<api::Pool>> {
        self.json(Call::get(routes::POOLS.into())).await
    }

    /// Makes or changes a pool.
    pub async fn set_pool(&self, pool: &str, settings: &api::PoolSettings) -> Result<api::Pool> {
        self.json(Call::json(Method::PUT, fill(routes::POOL, &[pool]), settings)).await
    }

    /// Deletes a pool.
    pub async fn delete_pool(&self, pool: &str) -> Result<api::Pool> {
        self.json(Call::new(Method::DELETE, fill(routes::POOL, &[pool]))).await
    }

    /// Times in which nodes are to be maintained.
    pub async fn maintenance(&self) -> Result<api::Page<api::Maintenance>> {
        self.json(Call::get(routes::MAINTENANCES.into())).await
    }

    /// Plans maintenance or changes it.
    pub async fn set_maintenance(
        &self,
        name: &str,
        settings: &api::MaintenanceSettings,
    ) -> Result<api::Maintenance> {
        self.json(Call::json(Method::PUT, fill(routes::MAINTENANCE, &[name]), settings)).await
    }

    /// Calls maintenance off.
    pub async fn delete_maintenance(&self, name: &str) -> Result<api::Maintenance> {
        self.json(Call::new(Method::DELETE, fill(routes::MAINTENANCE, &[name]))).await
    }

    /// Shares of accounts and users.
    pub async fn shares(&self) -> Result<api::Shares> {
        self.json(Call::get(routes::SHARES.into())).await
    }

    /// Sets a weight, or the half-life of past use.
    pub async fn set_shares(&self, settings: &api::ShareSettings) -> Result<api::Shares> {
        self.json(Call::json(Method::PUT, routes::SHARES.into(), settings)).await
    }

    /// What was used.
    pub async fn usage(&self, query: &api::UsageQuery) -> Result<api::UsageReport> {
        self.json(Call::get(with_query(routes::USAGE, query))).await
    }

    /// Who asks, as the server sees it.
    pub async fn whoami(&self) -> Result<api::Whoami> {
        self.json(Call::get(routes::WHOAMI.into())).await
    }

    /// Namespaces whose jobs one may see.
    pub async fn namespaces(&self) -> Result<api::Page<api::Namespace>> {
        self.json(Call::get(routes::NAMESPACES.into())).await
    }

    /// Makes a namespace.
    pub async fn create_namespace(&self, name: &str) -> Result<api::Namespace> {
        self.json(Call::new(Method::PUT, fill(routes::NAMESPACE, &[name]))).await
    }

    /// Tokens: all of them, or one's own.
    pub async fn tokens(&self) -> Result<api::Page<api::Token>> {
        self.json(Call::get(routes::TOKENS.into())).await
    }

    /// Makes a token.
    pub async fn create_token(&self, create: &api::CreateToken) -> Result<api::CreatedToken> {
        self.json(Call::json(Method::POST, routes::TOKENS.into(), create)).await
    }

    /// Makes a token worthless.
    pub async fn revoke_token(&self, id: &str) -> Result<api::Token> {
        self.json(Call::new(Method::POST, fill(routes::TOKEN_REVOKE, &[id]))).await
    }

    /// How long finished jobs are kept.
    pub async fn retention(&self) -> Result<api::RetentionStatus> {
        self.json(Call::get(routes::RETENTION.into())).await
    }

    /// Changes how long finished jobs are kept.
    pub async fn set_retention(&self, settings: &api::RetentionSettings) -> Result<api::RetentionStatus> {
        self.json(Call::json(Method::PUT, routes::RETENTION.into(), settings)).await
    }

    /// The cluster; `digest` walks the whole state, so it is asked for by name.
    pub async fn cluster(&self, digest: bool) -> Result<api::ClusterStatus> {
        let path =
            if digest { format!("{}?digest=true", routes::CLUSTER) } else { routes::CLUSTER.to_owned() };
        self.json(Call::get(path)).await
    }

    /// Changes what a server is meant to be.
    pub async fn update_server(&self, id: u64, change: &api::ServerChange) -> Result<api::Page<api::Server>> {
        self.json(Call::json(Method::PATCH, fill(routes::SERVER, &[&id.to_string()]), change)).await
    }

    /// Removes a server permanently.
    pub async fn remove_server(&self, id: u64) -> Result<api::Page<api::Server>> {
        self.json(Call::new(Method::DELETE, fill(routes::SERVER, &[&id.to_string()]))).await
    }

    /// Hands the leadership to a server.
    pub async fn transfer(&self, to: u64) -> Result<api::Page<api::Server>> {
        self.json(Call::json(Method::POST, routes::TRANSFER.into(), &api::TransferRequest { to })).await
    }

    /// All backups in a store, newest first.
    pub async fn backups(&self, query: &api::BackupQuery) -> Result<api::Page<api::Backup>> {
        self.json(Call::get(with_query(routes::BACKUPS, query))).await
    }

    /// Makes a backup, telling how far it is.
    pub async fn create_backup(
        &self,
        request: &api::BackupRequest,
        progress: impl FnMut(&api::BackupProgress),
    ) -> Result<api::Backup> {
        self.backup_lines(Call::json(Method::POST, routes::BACKUPS.into(), request), progress).await
    }

    /// Verifies a backup, telling how far it is.
    pub async fn verify_backup(
        &self,
        name: &str,
        query: &api::BackupQuery,
        progress: impl FnMut(&api::BackupProgress),
    ) -> Result<api::Backup> {
        let path = fill(routes::BACKUP_VERIFY, &[name]);
        self.backup_lines(Call::json(Method::POST, path, query), progress).await
    }

    /// The API as the server describes it.
    pub async fn openapi(&self) -> Result<String> {
        self.text(Call::get(routes::OPENAPI.into())).await
    }
}

/// Adds a query type to a path: its fields in JSON are its parameters.
pub(crate) fn with_query(path: &str, query: &impl Serialize) -> String {
    let fields = serde_json::to_value(query).unwrap_or_default();
    let mut out = path.to_owned();
    for (i, (key, value)) in fields.as_object().into_iter().flatten().enumerate() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(&format!("{key}={}", routes::escape(&value)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = api::LogQuery { follow: true, tail: Some(5), ..Default::default() };
        assert_eq!(with_query("/x", &query), "/x?follow=true&stream=stdout&tail=5");
        assert_eq!(with_query("/x", &api::JobsQuery::default()), "/x");
        let query = api::JobsQuery { name: Some("a b".into()), ..Default::default() };
        assert_eq!(with_query("/x", &query), "/x?name=a%20b");
    }
}
