//! Pools: nodes that share queues, with who may pass whom and where a task goes.

use crate::{Quantity, act::positive_duration};
use serde::{Deserialize, Serialize};
use taskyard_model::{Constraint, Discipline, Invalid, Placement, PoolConfig, validate};
use utoipa::ToSchema;

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Which jobs may start before an earlier job that does not fit yet: `strict`, `greedy`, `easy`, `easy-sjf` or
    /// `conservative`.
    pub discipline: String,
    /// Which of the nodes with room takes a task: `least-loaded`, `bin-pack`, `round-robin`, `spread`,
    /// `random-of-two` or `hash`.
    pub placement: String,
    /// The label over which `spread` spreads; each node counts for itself when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
    /// Which nodes belong to it; missing for the default pool, which has those that no other pool selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
    /// How long the first job without room waits, if its start is unknown, until a node is reserved for it; missing if
    /// none ever is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_after_ms: Option<u64>,
    /// Its nodes that are up.
    pub nodes_up: u64,
    /// All its nodes.
    pub nodes_all: u64,
    /// Names of the queues that use it.
    pub queues: Vec<String>,
}

impl Pool {
    /// A pool with its settings, without nodes and queues.
    pub fn new(name: &str, config: &PoolConfig) -> Pool {
        let nodes = config.nodes.to_string();
        Pool {
            name: name.to_owned(),
            discipline: config.discipline.name().to_owned(),
            placement: config.placement.name().to_owned(),
            spread: config.spread.clone(),
            nodes: Some(nodes).filter(|text| !text.is_empty()),
            reserve_after_ms: Some(config.reserve_after_ms).filter(|ms| *ms != u64::MAX),
            nodes_up: 0,
            nodes_all: 0,
            queues: Vec::new(),
        }
    }
}

/// Body of `PUT /v1/pools/{pool}`. Omitted settings stay; a new pool starts with `easy` and `least-loaded`, and
/// must name its nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// Which jobs may start before an earlier job that does not fit yet: `strict`, `greedy`, `easy`, `easy-sjf` or
    /// `conservative`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discipline: Option<String>,
    /// Which of the nodes with room takes a task: `least-loaded`, `bin-pack`, `round-robin`, `spread`,
    /// `random-of-two` or `hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// The label over which `spread` spreads, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rack")]
    pub spread: Option<String>,
    /// Which nodes belong to it. A node that several pools select belongs to the oldest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
    /// How long the first job without room waits, if its start is unknown because running jobs have no time limit,
    /// until a node is reserved for it; or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10m")]
    pub reserve_after: Option<Quantity>,
}

impl PoolSettings {
    /// Checks everything that does not depend on the cluster.
    pub fn check(&self, name: &str) -> Result<(), Invalid> {
        let base = match (name == PoolConfig::DEFAULT, &self.nodes) {
            // A pool that is there has some.
            (false, None) => PoolConfig { nodes: Constraint::parse("nodes", "x")?, ..PoolConfig::default() },
            _ => PoolConfig::default(),
        };
        self.over(name, &base).map(drop)
    }

    /// These settings laid over those a pool has (or the defaults, for a new one), checked.
    pub fn over(&self, name: &str, base: &PoolConfig) -> Result<PoolConfig, Invalid> {
        let mut config = base.clone();
        if let Some(discipline) = &self.discipline {
            config.discipline = Discipline::parse("discipline", discipline)?;
        }
        if let Some(placement) = &self.placement {
            config.placement = Placement::parse("placement", placement)?;
            config.spread = config.spread.filter(|_| config.placement == Placement::Spread);
        }
        match self.spread.as_deref() {
            None => {}
            Some("none") => config.spread = None,
            Some(label) => {
                validate::name("spread", label)?;
                config.spread = Some(label.to_owned());
            }
        }
        match &self.reserve_after {
            None => {}
            Some(Quantity(text)) if text == "none" => config.reserve_after_ms = u64::MAX,
            Some(Quantity(text)) => config.reserve_after_ms = positive_duration("reserve_after", text)?,
        }
        if let Some(nodes) = &self.nodes {
            config.nodes = Constraint::parse("nodes", nodes)?;
        }
        config.check(name)?;
        if config.spread.is_some() && config.placement != Placement::Spread {
            let label = config.spread.as_deref().unwrap_or_default();
            let remedy = "only the placement spread uses it: set placement to spread, or spread to none";
            return Err(Invalid::new("spread", label, remedy));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(name: &str, json: &str) -> Result<PoolConfig, Invalid> {
        crate::body::parse::<PoolSettings>(json.as_bytes())?.over(name, &PoolConfig::default())
    }

    #[test]
    fn settings_make_a_pool() {
        let json =
            r#"{"discipline": "strict", "placement": "spread", "spread": "rack", "nodes": "zone == a"}"#;
        let config = over("fast", json).unwrap();
        let pool = Pool::new("fast", &config);
        assert_eq!((pool.discipline.as_str(), pool.placement.as_str()), ("strict", "spread"));
        assert_eq!((pool.spread.as_deref(), pool.nodes.as_deref()), (Some("rack"), Some("zone == a")));
        let waits = |json: &str| over("default", json).unwrap().reserve_after_ms;
        assert_eq!(waits("{}"), 600_000);
        assert_eq!(waits(r#"{"reserve_after": "30s"}"#), 30_000);
        assert_eq!(waits(r#"{"reserve_after": "none"}"#), u64::MAX);
        let plain = PoolSettings { placement: Some("bin-pack".into()), ..Default::default() };
        assert_eq!(plain.over("fast", &config).unwrap().spread, None);
        assert_eq!(plain.check("fast"), Ok(()));
    }

    #[test]
    fn refusals_name_field_and_remedy() {
        for (name, json, field, remedy) in [
            ("fast", "{}", "nodes", "selects its nodes"),
            ("default", r#"{"nodes": "zone == a"}"#, "nodes", "create another pool"),
            ("default", r#"{"discipline": "fair"}"#, "discipline", "conservative"),
            ("default", r#"{"placement": "best"}"#, "placement", "least-loaded"),
            ("default", r#"{"spread": "rack"}"#, "spread", "set placement to spread"),
            ("default", r#"{"reserve_after": "soon"}"#, "reserve_after", "90s"),
            ("default", r#"{"policy": "sjf"}"#, "policy", "no such field"),
        ] {
            let error = over(name, json).unwrap_err();
            assert!(error.field == field && error.remedy.contains(remedy), "{json}: {error}");
        }
    }
}
