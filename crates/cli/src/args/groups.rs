//! The list of commands in `--help`, grouped by what they are for.

use clap::Command;
use std::fmt::Write;

/// A heading and the commands below it.
type Group = (&'static str, &'static [&'static str]);

const GROUPS: [Group; 7] = [
    ("Run work", &["run", "submit", "plan"]),
    ("Watch it", &["jobs", "show", "tasks", "logs", "wait", "explain", "events"]),
    ("Change it", &["cancel", "retry", "hold", "release", "update"]),
    (
        "The cluster",
        &[
            "status",
            "nodes",
            "node",
            "queues",
            "queue",
            "pools",
            "pool",
            "maintenance",
            "shares",
            "share",
            "usage",
            "simulate",
        ],
    ),
    ("Access", &["login", "logout", "whoami", "token", "namespace", "account"]),
    ("Operation", &["dev", "server", "agent", "cluster", "backup", "retention", "digest"]),
    ("Shell and formats", &["completions", "man", "schema"]),
];

/// The same command line with its list of commands in groups.
#[must_use]
pub fn grouped(app: Command) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\nOptions:\n{{options}}{{after-help}}",
        list(&app)
    );
    app.help_template(template)
}

fn list(app: &Command) -> String {
    let mut left: Vec<&Command> =
        app.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help").collect();
    let width = left.iter().map(|sub| sub.get_name().len()).max().unwrap_or_default();
    let mut text = String::new();
    let mut write = |heading: &str, commands: &[&Command]| {
        if commands.is_empty() {
            return;
        }
        let _ = write!(text, "\n{heading}:\n");
        for sub in commands {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {:width$}  {about}", sub.get_name());
        }
    };
    for (heading, names) in GROUPS {
        let of_group = |name: &&str| left.iter().find(|sub| sub.get_name() == *name).copied();
        let commands: Vec<&Command> = names.iter().filter_map(of_group).collect();
        left.retain(|sub| !names.contains(&sub.get_name()));
        write(heading, &commands);
    }
    // A command that is in no group is shown all the same.
    write("More", &left);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let help = crate::app().render_help().to_string();
        assert!(help.contains("\nRun work:\n  run "), "{help}");
        assert!(!help.contains("\nMore:\n"), "{help}");
        assert!(!help.contains("\nCommands:"), "{help}");
        let mut names: Vec<&str> = GROUPS.iter().flat_map(|group| group.1).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "one is in two groups");
        for sub in crate::app().get_subcommands().filter(|sub| !sub.is_hide_set()) {
            assert!(help.contains(&format!("\n  {} ", sub.get_name())), "{}", sub.get_name());
        }
    }
}
