//! What users set of a queue.

use crate::Quantity;
use crate::act::{Reader, or_none, positive_duration};
use serde::{Deserialize, Serialize};
use taskyard_model::{
    Constraint, Invalid, Policy, PoolConfig, QueueConfig, limits, policy, quantity, validate,
};
use utoipa::ToSchema;

/// Body of `PUT /v1/queues/{queue}`. Omitted settings stay; a new queue starts from the defaults. `none` removes a
/// limit, a pool or a constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSettings {
    /// Order of its jobs: `fcfs`, `sjf`, `saf`, `soft-area`, `f1`, `priority`, `multi-factor`, `fair-share` or `drf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Queues of a higher tier are served first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<i32>,
    /// Share among queues of one tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Under `priority`, `fair-share` and `drf`: waiting this long is worth one point of priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1m")]
    pub aging: Option<Quantity>,
    /// A job that has waited longer goes before all younger jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1d")]
    pub max_wait: Option<Quantity>,
    /// Points of the factors of `multi-factor`; omitted factors stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factors: Option<FactorSettings>,
    /// The pool on whose nodes its jobs run; `none` is the default pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Time limit of jobs without one, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1h")]
    pub default_limit: Option<Quantity>,
    /// Longest time limit of its jobs, or `none`. Jobs without one get this, or the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1d")]
    pub max_limit: Option<Quantity>,
    /// Most cores of one task, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "16")]
    pub max_cpus: Option<Quantity>,
    /// Most memory of one task, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "64GiB")]
    pub max_memory: Option<Quantity>,
    /// Most GPUs of one task, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2")]
    pub max_gpus: Option<Quantity>,
    /// Most tasks of one job, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1000")]
    pub max_tasks: Option<Quantity>,
    /// Longest grace of its jobs, or `none` for 10 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1m")]
    pub max_grace: Option<Quantity>,
    /// Highest priority that submitters may give, or `none` for 1000; operators and administrators may give more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "100")]
    pub max_priority: Option<Quantity>,
    /// Which nodes of its pool run its jobs, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
}

/// Points of the factors of `multi-factor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FactorSettings {
    /// For each hour of waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<i32>,
    /// For each point of the job's priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// For each core of a task; a negative number puts small tasks first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// For a user without recent usage; half of it at the fair share, and less above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fair_share: Option<i32>,
}

impl QueueSettings {
    /// Checks everything that does not depend on the cluster.
    pub fn check(&self) -> Result<(), Invalid> {
        // What depends on another setting of the queue is known only where that is.
        let alone =
            QueueSettings { default_limit: self.default_limit.clone().filter(is_none), ..self.clone() };
        alone.over(&QueueConfig::default())?;
        or_none("default_limit", &self.default_limit, positive_duration).map(drop)?;
        match (&self.default_limit, &self.max_limit) {
            (Some(_), Some(_)) => self.over(&QueueConfig::default()).map(drop),
            _ => Ok(()),
        }
    }

    /// These settings laid over those a queue has (or the defaults, for a new one), checked.
    pub fn over(&self, base: &QueueConfig) -> Result<QueueConfig, Invalid> {
        let mut config = base.clone();
        if let Some(policy) = &self.policy {
            config.policy = Policy::parse("policy", policy)?;
        }
        config.tier = self.tier.unwrap_or(config.tier);
        config.weight = self.weight.unwrap_or(config.weight);
        if let Some(Quantity(text)) = &self.aging {
            config.aging_ms = positive_duration("aging", text)?;
        }
        if let Some(Quantity(text)) = &self.max_wait {
            config.max_wait_ms = positive_duration("max_wait", text)?;
        }
        if let Some(factors) = self.factors {
            config.factors = Some(factors.over(config.factors.unwrap_or_default())?);
        }
        if let Some(pool) = &self.pool {
            validate::name("pool", pool)?;
            config.pool = Some(pool.clone()).filter(|name| name != "none" && name != PoolConfig::DEFAULT);
        }
        self.limit(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn limit(&self, config: &mut QueueConfig) -> Result<(), Invalid> {
        let set = set_or_none;
        set("default_limit", &self.default_limit, positive_duration, &mut config.default_limit_ms)?;
        set("max_limit", &self.max_limit, positive_duration, &mut config.max_limit_ms)?;
        set("max_cpus", &self.max_cpus, positive_cpus, &mut config.max_cpu_milli)?;
        set("max_memory", &self.max_memory, positive_size, &mut config.max_memory)?;
        set_or_none("max_gpus", &self.max_gpus, gpus, &mut config.max_gpu_milli)?;
        set_or_none("max_tasks", &self.max_tasks, tasks, &mut config.max_tasks)?;
        set_or_none("max_grace", &self.max_grace, quantity::duration_ms, &mut config.max_grace_ms)?;
        set_or_none("max_priority", &self.max_priority, points, &mut config.max_priority)?;
        match self.nodes.as_deref() {
            None => {}
            Some("none") => config.nodes = None,
            Some(text) => config.nodes = Some(Constraint::parse("nodes", text)?),
        }
        Ok(())
    }
}

impl FactorSettings {
    /// More points than this for anything would drown what they are compared with.
    const POINTS_MAX: i32 = limits::PRIORITY_MAX;

    fn over(self, base: policy::Factors) -> Result<policy::Factors, Invalid> {
        let all = [
            ("factors.age", self.age),
            ("factors.priority", self.priority),
            ("factors.size", self.size),
            ("factors.fair_share", self.fair_share),
        ];
        for (field, points) in all {
            // Age that takes points off would let a job wait without end.
            let least = if field == "factors.age" { 0 } else { -Self::POINTS_MAX };
            if let Some(points) = points.filter(|p| !(least..=Self::POINTS_MAX).contains(p)) {
                let remedy = format!("between {least} and {} points", Self::POINTS_MAX);
                return Err(Invalid::new(field, points, remedy));
            }
        }
        Ok(policy::Factors {
            age: self.age.unwrap_or(base.age),
            priority: self.priority.unwrap_or(base.priority),
            size: self.size.unwrap_or(base.size),
            fair_share: self.fair_share.unwrap_or(base.fair_share),
        })
    }
}

fn points(field: &str, text: &str) -> Result<i32, Invalid> {
    text.parse().map_err(|_| Invalid::new(field, text, "write a whole number, or none"))
}

fn is_none(text: &Quantity) -> bool {
    text.0 == "none"
}

fn set_or_none<T>(
    field: &str,
    text: &Option<Quantity>,
    read: Reader<T>,
    setting: &mut Option<T>,
) -> Result<(), Invalid> {
    if let Some(value) = or_none(field, text, read)? {
        *setting = value;
    }
    Ok(())
}

fn positive_cpus(field: &str, text: &str) -> Result<u64, Invalid> {
    positive(field, text, quantity::thousandths(field, text)?)
}

fn positive_size(field: &str, text: &str) -> Result<u64, Invalid> {
    positive(field, text, quantity::size_bytes(field, text)?)
}

/// A queue that allows none would refuse every job.
fn positive(field: &str, text: &str, amount: u64) -> Result<u64, Invalid> {
    match amount {
        0 => Err(Invalid::new(field, text, "write more than zero, or none for no limit")),
        amount => Ok(amount),
    }
}

fn gpus(field: &str, text: &str) -> Result<u32, Invalid> {
    let milli = quantity::thousandths(field, text)?;
    u32::try_from(milli)
        .map_err(|_| Invalid::new(field, text, format!("at most {}, or none", limits::GPU_DEVICES_MAX)))
}

fn tasks(field: &str, text: &str) -> Result<u32, Invalid> {
    match text.parse::<u32>() {
        Ok(0) => Err(Invalid::new(field, text, "at least 1, or none")),
        Ok(tasks) => Ok(tasks),
        Err(_) => Err(Invalid::new(field, text, "write a whole number, or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Factors, Queue};

    fn over(base: &QueueConfig, json: &str) -> Result<QueueConfig, Invalid> {
        crate::body::parse::<QueueSettings>(json.as_bytes())?.over(base)
    }

    #[test]
    fn settings_are_laid_over_and_none_takes_them_away() {
        let all = r#"{"policy": "multi-factor", "factors": {"age": 5, "size": -1}, "pool": "fast", "default_limit": "1h",
            "max_limit": "2h", "max_cpus": 2.5, "max_memory": "4GiB", "max_gpus": "2", "max_tasks": 10, "max_grace": "1m", "max_priority": 7, "nodes": "zone == a"}"#;
        let config = over(&QueueConfig::default(), all).unwrap();
        let queue = Queue::new("q", &config);
        let factors = Factors { age: 5, priority: 100, size: -1, fair_share: 1_000 };
        assert_eq!((queue.factors, queue.pool.as_str()), (Some(factors), "fast"));
        let limits = (queue.max_cpu_milli, queue.max_memory_bytes, queue.max_gpu_milli, queue.max_tasks);
        assert_eq!(limits, (Some(2_500), Some(4 << 30), Some(2_000), Some(10)));
        assert_eq!((queue.default_limit_ms, queue.max_limit_ms), (Some(3_600_000), Some(7_200_000)));
        assert_eq!(queue.nodes.as_deref(), Some("zone == a"));
        let none = r#"{"pool": "none", "default_limit": "none", "max_limit": "none", "max_cpus": "none",
            "max_memory": "none", "max_gpus": "none", "max_tasks": "none", "max_grace": "none", "max_priority": "none", "nodes": "none"}"#;
        let kept = QueueConfig { policy: Policy::MultiFactor, factors: config.factors, ..Default::default() };
        assert_eq!(over(&config, none).unwrap(), kept);
    }

    #[test]
    fn refusals_name_field_and_remedy() {
        for (json, field, remedy) in [
            (r#"{"policy": "lifo"}"#, "policy", "multi-factor, fair-share, drf"),
            (r#"{"factors": {"ages": 1}}"#, "factors.ages", "did you mean \"age\""),
            (r#"{"factors": {"age": -1}}"#, "factors.age", "between 0 and"),
            (r#"{"max_memory": 4}"#, "max_memory", "needs a unit"),
            (r#"{"max_tasks": 0}"#, "max_tasks", "or none"),
            (r#"{"max_gpus": "5000000"}"#, "max_gpus", "at most 64"),
            (r#"{"nodes": "zone in a"}"#, "nodes", "zone in (a,b)"),
            (r#"{"max_limit": "1h", "default_limit": "2h"}"#, "default_limit", "max_limit, 1h"),
            (r#"{"limit": "1h"}"#, "limit", "no such field in a queue"),
        ] {
            let error = over(&QueueConfig::default(), json).unwrap_err();
            assert!(error.field == field && error.remedy.contains(remedy), "{json}: {error}");
        }
        let lone = QueueSettings { default_limit: Some("2h".into()), ..QueueSettings::default() };
        assert_eq!(lone.check(), Ok(()), "the queue's max_limit is not known here");
    }
}
