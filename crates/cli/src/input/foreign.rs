//! Directives of other schedulers in scripts. They are not read; what they are called here is told, so that a script
//! can be moved.

use super::words;

/// How the value of an option reads here.
#[derive(Clone, Copy)]
enum OptionValue {
    /// There is none.
    Flag,
    /// As it is.
    Same,
    /// With this unit, if it is a bare number.
    Unit(&'static str),
    /// Otherwise.
    Other,
}

use OptionValue::{Flag, Other, Same, Unit};

/// Names of an option there, separated by spaces; its name here; how its value reads.
type Row = (&'static str, &'static str, OptionValue);

/// Another scheduler, by the mark of its lines.
struct System {
    mark: &'static str,
    rows: &'static [Row],
}

const SYSTEMS: [System; 6] = [
    System { mark: "SBATCH", rows: SLURM },
    System { mark: "PBS", rows: PBS },
    System { mark: "BSUB", rows: LSF },
    System { mark: "HQ", rows: HYPERQUEUE },
    System { mark: "$", rows: GRID_ENGINE },
    System { mark: "FLUX:", rows: FLUX },
];

const SLURM: &[Row] = &[
    ("-J --job-name", "--name", Same),
    ("-p --partition", "--queue", Same),
    ("-A --account", "--account", Same),
    ("-a --array", "--array", Same),
    ("-c --cpus-per-task", "--cpus", Same),
    ("--mem", "--mem", Unit("MiB")),
    ("--mem-per-cpu", "--mem", Other),
    ("-t --time", "--time-limit", Unit("m")),
    ("--time-min", "--estimate", Unit("m")),
    ("-G --gpus --gres --gpus-per-task --gpus-per-node", "--gpus", Other),
    ("-o --output", "--stdout", Other),
    ("-e --error", "--stderr", Other),
    ("-i --input", "--stdin", Other),
    ("-D --chdir", "--cwd", Same),
    ("-d --dependency", "--after", Other),
    ("-b --begin", "--begin", Other),
    ("-H --hold", "--hold", Flag),
    ("--exclusive", "--exclusive", Flag),
    ("-C --constraint -w --nodelist -x --exclude", "--constraint", Other),
    ("--export", "--env", Other),
    ("--requeue", "--retries", Other),
    ("--nice --priority", "--priority", Other),
    ("-L --licenses", "--resource", Other),
];

const PBS: &[Row] = &[
    ("-N", "--name", Same),
    ("-q", "--queue", Same),
    ("-A -P", "--account", Same),
    ("-J -t", "--array", Same),
    ("-l", "--cpus, --mem, --gpus or --time-limit", Other),
    ("-o", "--stdout", Other),
    ("-e", "--stderr", Other),
    ("-d -w", "--cwd", Same),
    ("-W", "--after", Other),
    ("-a", "--begin", Other),
    ("-h", "--hold", Flag),
    ("-V", "--env-all", Flag),
    ("-v", "--env", Other),
    ("-r", "--retries", Other),
    ("-p", "--priority", Same),
];

const LSF: &[Row] = &[
    ("-J", "--name or --array", Other),
    ("-q", "--queue", Same),
    ("-P -G", "--account", Same),
    ("-n", "--cpus", Same),
    ("-M", "--mem", Other),
    ("-R", "--constraint or --mem", Other),
    // Hours and minutes there: 1:30 would read as a minute and a half here.
    ("-W", "--time-limit", Other),
    ("-We", "--estimate", Other),
    ("-gpu", "--gpus", Other),
    ("-o -oo", "--stdout", Other),
    ("-e -eo", "--stderr", Other),
    ("-i", "--stdin", Other),
    ("-cwd", "--cwd", Same),
    ("-w", "--after", Other),
    ("-b", "--begin", Other),
    ("-H", "--hold", Flag),
    ("-x", "--exclusive", Flag),
    ("-m", "--constraint", Other),
    ("-env", "--env", Other),
    ("-r", "--retries", Other),
    ("-sp", "--priority", Same),
];

const HYPERQUEUE: &[Row] = &[
    ("--name", "--name", Same),
    ("--cpus", "--cpus", Same),
    ("--resource", "--gpus, --mem or --resource", Other),
    ("--array", "--array", Same),
    ("--each-line", "--each-line", Same),
    ("--time-limit", "--time-limit", Same),
    ("--time-request", "--estimate", Same),
    ("--max-fails", "--max-fails", Same),
    ("--crash-limit", "--retries", Other),
    ("--priority", "--priority", Same),
    ("--cwd", "--cwd", Same),
    ("--stdout", "--stdout", Other),
    ("--stderr", "--stderr", Other),
    ("--stdin", "--stdin", Other),
    ("--env", "--env", Same),
];

const GRID_ENGINE: &[Row] = &[
    ("-N", "--name", Same),
    ("-q", "--queue", Same),
    ("-A -P", "--account", Same),
    ("-t", "--array", Same),
    ("-tc", "--max-running", Same),
    ("-pe", "--cpus", Other),
    ("-l", "--mem, --gpus, --time-limit or --resource", Other),
    ("-o", "--stdout", Other),
    ("-e", "--stderr", Other),
    ("-i", "--stdin", Other),
    ("-cwd", "--cwd", Other),
    ("-wd", "--cwd", Same),
    ("-V", "--env-all", Flag),
    ("-v", "--env", Other),
    ("-hold_jid", "--after", Other),
    ("-h", "--hold", Flag),
    ("-a", "--begin", Other),
    ("-p", "--priority", Same),
];

const FLUX: &[Row] = &[
    ("--job-name", "--name", Same),
    ("-q --queue", "--queue", Same),
    ("-B --bank", "--account", Same),
    ("-c --cores-per-task", "--cpus", Same),
    ("-g --gpus-per-task", "--gpus", Same),
    ("-t --time-limit", "--time-limit", Unit("m")),
    ("--output", "--stdout", Other),
    ("--error", "--stderr", Other),
    ("--cwd", "--cwd", Same),
    ("--dependency", "--after", Other),
    ("--begin-time", "--begin", Other),
    ("-x --exclusive", "--exclusive", Flag),
    ("--requires", "--constraint", Other),
    ("--env", "--env", Other),
];

/// If a line is a directive of another scheduler: its mark, and what it is here.
pub(crate) fn translated(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix('#')?;
    let known = SYSTEMS.iter().find(|system| {
        let of_it = rest.get(..system.mark.len()).is_some_and(|head| head.eq_ignore_ascii_case(system.mark));
        // A mark alone, or one before a word, may be prose.
        of_it && rest[system.mark.len()..].trim_start().starts_with('-')
    });
    let (mark, rows) = match known {
        Some(system) => (system.mark, system.rows),
        None => (unknown(rest)?, &[][..]),
    };
    let options = rest[mark.len()..].trim();
    // One that no shell would read either is told of as well.
    let words = words::split(options).unwrap_or_else(|_| options.split(' ').map(str::to_owned).collect());
    Some((format!("#{mark}"), here(&words, rows)))
}

/// The mark of a scheduler that has no table here, such as `#MSUB` or `#PJM`: capitals, and an option behind them.
fn unknown(line: &str) -> Option<&str> {
    let (mark, options) = line.split_once([' ', '\t'])?;
    let is_mark = mark.len() > 1 && mark.trim_end_matches(':').bytes().all(|b| b.is_ascii_uppercase());
    let option = options.trim_start().trim_start_matches('-');
    let has_dash = options.trim_start().starts_with('-');
    (is_mark && has_dash && option.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(mark)
}

fn here(options: &[String], rows: &[Row]) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut words = options.iter().peekable();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            continue;
        }
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        let Some((_, ours, reads)) = rows.iter().find(|(names, ..)| names.split(' ').any(|n| n == name))
        else {
            continue;
        };
        let value = value.or_else(|| words.peek().filter(|next| !next.starts_with('-')).map(|v| v.as_str()));
        found.push(match (reads, value) {
            (Flag, _) => (*ours).to_owned(),
            (Same, Some(value)) => format!("{ours} {value}"),
            (Unit(unit), Some(value)) if value.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{ours} {value}{unit}")
            }
            (Unit(_), Some(value)) => format!("{ours} {value}"),
            _ => format!("{ours} …"),
        });
    }
    match found.is_empty() {
        true => "there is no such option; see `taskyard submit --help`".to_owned(),
        false => format!("write #TASKYARD {}", found.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_and_what_they_are_here() {
        for (line, mark, here) in [
            ("#SBATCH --array=1-3", "#SBATCH", "write #TASKYARD --array 1-3"),
            ("#SBATCH -c 32 --time 90", "#SBATCH", "write #TASKYARD --cpus 32 --time-limit 90m"),
            ("#SBATCH --time=50:00:00 --mem=4096", "#SBATCH", "--time-limit 50:00:00 --mem 4096MiB"),
            ("#sbatch --output=x-%j", "#SBATCH", "write #TASKYARD --stdout …"),
            ("#SBATCH --mail-user=a@b", "#SBATCH", "there is no such option"),
            ("#PBS -N sweep -q batch", "#PBS", "write #TASKYARD --name sweep --queue batch"),
            ("#PBS -l select=1:ncpus=4,walltime=1:00", "#PBS", "--cpus, --mem, --gpus or --time-limit …"),
            ("#BSUB -W 1:30", "#BSUB", "write #TASKYARD --time-limit …"),
            ("#HQ --cpus=4 --time-limit=1h", "#HQ", "write #TASKYARD --cpus 4 --time-limit 1h"),
            ("#$ -t 1-10 -tc 4", "#$", "write #TASKYARD --array 1-10 --max-running 4"),
            ("#MSUB -l walltime=1:00", "#MSUB", "there is no such option"),
            ("#COBALT: --n 4", "#COBALT:", "there is no such option"),
            ("#FLUX: -c 4", "#FLUX:", "write #TASKYARD --cpus 4"),
            ("#SBATCH --job-name='x", "#SBATCH", "write #TASKYARD --name 'x"),
        ] {
            let (found, told) = translated(line).unwrap_or_else(|| panic!("{line}"));
            assert!(found == mark && told.contains(here), "{line}: {found} {told}");
        }
        for line in [
            "#PBS",
            "#NOTE - x",
            "#X -n 1",
            "#NOTE: see -x",
            "# SBATCH --mem=1",
            "##SBATCH --mem=1",
            "#$HOME",
            "#HQ is down",
            "#!/bin/sh -e",
            "#é",
        ] {
            assert_eq!(translated(line), None, "{line}");
        }
    }

    #[test]
    fn every_option_here_exists() {
        let app = crate::app();
        let submit = app.find_subcommand("submit").unwrap();
        let known: Vec<&str> = submit.get_arguments().filter_map(clap::Arg::get_long).collect();
        let mut seen = 0;
        for (_, ours, _) in SYSTEMS.iter().flat_map(|system| system.rows) {
            for option in ours.split([' ', ',']).filter_map(|word| word.strip_prefix("--")) {
                assert!(known.contains(&option), "{option}");
                seen += 1;
            }
        }
        assert!(seen > 80, "{seen}");
    }
}
