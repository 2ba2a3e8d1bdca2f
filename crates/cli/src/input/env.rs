//! Options that name pairs: environment and resources.

use super::Here;
use crate::args::job::JobArgs;
use std::collections::BTreeMap;
use taskyard_client::api::Invalid;
use taskyard_model::spec::SUBMIT_DIR;

/// Fails if one source of options (the command line, or the lines of a script) names a variable or a resource twice:
/// which of the values is meant, nothing says. `sources` are several lines of one source.
pub(crate) fn check_once<'a>(sources: impl Iterator<Item = &'a JobArgs>) -> Result<(), (usize, Invalid)> {
    let (mut env, mut resources) = (BTreeMap::new(), BTreeMap::new());
    for (nth, args) in sources.enumerate() {
        let lists = [("env", &args.env, &mut env), ("resources", &args.resources, &mut resources)];
        for (field, pairs, given) in lists {
            for pair in pairs {
                let key = pair.split_once('=').map_or(pair.as_str(), |(key, _)| key);
                if let Some(first) = given.insert(key, pair) {
                    let remedy =
                        format!("{key} is given twice, as {first} and as {pair}; leave one of them out");
                    return Err((nth, Invalid::new(field, pair, remedy)));
                }
            }
        }
    }
    Ok(())
}

/// The environment that the options ask for, over that of a job file.
pub(crate) fn env(
    args: &JobArgs,
    mut base: BTreeMap<String, String>,
    here: &Here,
) -> Result<BTreeMap<String, String>, Invalid> {
    if args.env_all {
        // Variables of Taskyard are set for each task.
        let all = here.env.iter().filter(|(key, _)| !key.starts_with("TASKYARD_") && !key.is_empty());
        let all: BTreeMap<_, _> = all.map(|(k, v)| (k.clone(), v.clone())).collect();
        base = all.into_iter().chain(base).collect();
    }
    for pair in &args.env {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => {
                let value = here.env.get(pair).cloned().ok_or_else(|| {
                    let remedy = match here.env_unread.contains(pair) {
                        true => "its value here is not UTF-8, and cannot be passed on",
                        false => "this variable is not set here; write NAME=VALUE",
                    };
                    Invalid::new("env", pair, remedy)
                })?;
                (pair.as_str(), value)
            }
        };
        base.insert(key.to_owned(), value);
    }
    if let Ok(dir) = &here.cwd {
        base.entry(SUBMIT_DIR.to_owned()).or_insert_with(|| dir.clone());
    }
    Ok(base)
}

/// Named resources, over those of a job file.
pub(crate) fn resources(
    args: &JobArgs,
    mut base: BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u64>, Invalid> {
    for pair in &args.resources {
        let amount = pair.split_once('=').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        let (name, n) = amount.ok_or_else(|| {
            Invalid::new("resources", pair, "write a name and a whole number, as in licence=1")
        })?;
        base.insert(name.to_owned(), n);
    }
    Ok(base)
}
