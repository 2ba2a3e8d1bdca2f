//! Variables of the environment that look like ours and are not: a misspelt setting must not be silently without
//! effect.

use std::io::Write;

const PREFIX: &str = "TASKYARD_";
/// Those that commands read which have no option of theirs.
const READ: [&str; 8] = [
    "TASKYARD_SERVER",
    "TASKYARD_NAMESPACE",
    "TASKYARD_TOKEN",
    "TASKYARD_TOKEN_FILE",
    "TASKYARD_CA",
    "TASKYARD_LOG",
    "TASKYARD_TRACES",
    crate::fleet::PARENT,
];
/// Those of options; a test compares them with the command line. Agents are to be small, and do not build it.
const OPTIONS: [&str; 15] = [
    "TASKYARD_ADMIN_TOKEN_FILE",
    "TASKYARD_ADVERTISE",
    "TASKYARD_AGENT_DATA_DIR",
    "TASKYARD_AUTH",
    "TASKYARD_CONFIG",
    "TASKYARD_DEV_DATA_DIR",
    "TASKYARD_DRAIN",
    "TASKYARD_HEARTBEAT",
    "TASKYARD_JOIN",
    "TASKYARD_LEASE",
    "TASKYARD_LISTEN",
    "TASKYARD_NODE_NAME",
    "TASKYARD_SERVER_DATA_DIR",
    "TASKYARD_SERVER_TOKEN_FILE",
    "TASKYARD_USER",
];
/// Each task has it. What else a task finds in its environment came from the agent, or from the user who submitted it.
const OF_A_TASK: &str = "TASKYARD_ATTEMPT";

/// Tells about each variable that has no effect.
pub(crate) fn tell_unknown() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in unknown(names) {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut ours: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    if ours.iter().any(|name| name == OF_A_TASK) {
        return Vec::new();
    }
    ours.sort();
    let known: Vec<&str> = READ.into_iter().chain(OPTIONS).collect();
    let stranger = |name: &String| !known.contains(&name.as_str());
    let tell = |name: String| match nearest(&name, &known) {
        Some(near) => {
            format!(
                "the environment variable {name} has no effect: Taskyard has no variable of this name; did you mean {near}?"
            )
        }
        None => {
            format!("the environment variable {name} has no effect: Taskyard has no variable of this name")
        }
    };
    ours.into_iter().filter(stranger).map(tell).collect()
}

/// By what follows the prefix, which would make all of them alike.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let ends: Vec<&str> = known.iter().map(|name| &name[PREFIX.len()..]).collect();
    let lower: Vec<String> = ends.iter().map(|end| end.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let near = taskyard_client::api::body::near(&name[PREFIX.len()..], &lower)?;
    lower.iter().position(|end| *end == near).map(|at| known[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn told(names: &[&str]) -> Vec<String> {
        unknown(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn what_has_no_effect_is_told_with_what_was_meant() {
        assert_eq!(told(&["PATH", "TASKYARD_SERVER", "TASKYARD_LISTEN", "XTASKYARD_SEVER"]), [""; 0]);
        let told_of = told(&["TASKYARD_SEVER", "TASKYARD_COLOUR_OF_THE_SKY"]);
        assert!(told_of[1].contains("TASKYARD_SEVER has no effect"), "{told_of:?}");
        assert!(told_of[1].ends_with("did you mean TASKYARD_SERVER?"), "{told_of:?}");
        assert!(told_of[0].ends_with("Taskyard has no variable of this name"), "{told_of:?}");
        assert_eq!(told(&["TASKYARD_SEVER", "TASKYARD_ATTEMPT"]), [""; 0], "a task submits more");
    }

    #[test]
    fn every_variable_of_an_option_is_known() {
        let mut commands = vec![crate::args::Cli::command()];
        let mut found = std::collections::BTreeSet::new();
        while let Some(command) = commands.pop() {
            let variables = command.get_arguments().filter_map(|argument| argument.get_env());
            found.extend(variables.map(|name| name.to_string_lossy().into_owned()));
            commands.extend(command.get_subcommands().cloned());
        }
        found.retain(|name| !READ.contains(&name.as_str()));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), OPTIONS);
    }
}
