//! Examples under each command's help. They are run by the black-box tests, so they stay true.

/// Of `run`.
pub const RUN: &str = "\
Examples:
  taskyard run -- echo hello
  taskyard run --local -- ./test.sh          no server needed
  taskyard run --cpus 4 --mem 8GiB -- ./train.py --epochs 3
  taskyard run --array 1-4 -- sh -c 'echo task $TASKYARD_TASK'

The exit code is the task's; 128 plus the signal if a signal ended it; 125 if Taskyard failed.
Ctrl-C cancels the job.";

/// Of `submit`.
pub const SUBMIT: &str = "\
Examples:
  taskyard submit -- python3 train.py
  taskyard submit --array 1-1000:2%50 --time-limit 10m -- ./step
  taskyard submit --each-line urls.txt -- sh -c 'curl -sO \"$TASKYARD_ENTRY\"'
  taskyard submit train.sh -- --epochs 3     its '#TASKYARD --mem 4GiB' lines are options
  taskyard submit job.toml --cpus 2          a job file; options here take precedence
  taskyard submit --begin 18:00 -- ./nightly     no earlier; also +2h, 'tomorrow 6:00'
  taskyard submit --after ok:last -- ./report    once your newest job has succeeded
  taskyard submit --from-json jobs.jsonl     many jobs, one per line or an array
  id=$(taskyard submit --parsable -- ./step) && taskyard wait $id";

/// Of `plan`.
pub const PLAN: &str = "\
Examples:
  taskyard plan job.toml
  taskyard plan train.sh -- --epochs 3
  taskyard plan --cpus 4 --mem 8GiB --time-limit 1h -- ./step
  taskyard plan - < job.toml
  taskyard plan --from-json jobs.jsonl       many jobs, each by itself; the worst sets the exit code

The exit code is 0 if it would start now, 1 if it would wait, 255 if it would never start;
otherwise as usual.";

/// Of `cluster`.
pub const CLUSTER: &str = "\
Examples:
  taskyard cluster status
  taskyard cluster init --data-dir s1        before the first start of a TLS server
  taskyard cluster add                       prints the command for the new machine
  taskyard cluster transfer 2                server 2 becomes the leader
  taskyard cluster remove 3                  permanently; its number is never reused

A cluster of 3 servers survives the loss of 1, a cluster of 5 the loss of 2.";

/// Of `jobs`.
pub const JOBS: &str = "\
Examples:
  taskyard jobs
  taskyard jobs --state running,pending --queue batch
  taskyard jobs --state failed --since 2h --user me
  taskyard jobs --since 'yesterday 18:00' --all
  taskyard jobs --state failed --output ids
  taskyard jobs --namespace team-a           with '*': all you may see";

/// Of `show`.
pub const SHOW: &str = "\
Examples:
  taskyard show last
  taskyard show 12
  taskyard show 12.5                         one task with its attempts
  taskyard show 12 --output json";

/// Of `tasks`.
pub const TASKS: &str = "\
Examples:
  taskyard tasks last
  taskyard tasks 12 --state failed
  taskyard tasks 12.1-50
  taskyard tasks 12 --output jsonl           every task, one per line";

/// Of `logs`.
pub const LOGS: &str = "\
Examples:
  taskyard logs last
  taskyard logs -f 12.5
  taskyard logs --tail 20 --stderr 12.5
  taskyard logs --failed 12

The output of one task is printed unchanged. With several tasks, each line starts with its task
number, as in `5| text`. Ctrl-C ends only this command; the job continues.";

/// Of `wait`.
pub const WAIT: &str = "\
Examples:
  taskyard wait last
  taskyard wait 12-15 --timeout 1h

The exit code is 0 if every task succeeded, 1 if one failed, was cancelled or was skipped, 6 on
timeout.
Ctrl-C ends only this command; the jobs continue.";

/// Of `cancel`.
pub const CANCEL: &str = "\
Examples:
  taskyard cancel last
  taskyard cancel 12.7
  taskyard cancel 12-15,20
  taskyard cancel all                        all your unfinished jobs
  taskyard cancel --now last                 kill running tasks without their grace";

/// Of `retry`.
pub const RETRY: &str = "\
Examples:
  taskyard retry --failed last
  taskyard retry --unsuccessful 12           failed, lost, cancelled and skipped tasks
  taskyard retry 12.5";

/// Of `hold`.
pub const HOLD: &str = "\
Examples:
  taskyard hold 12
  taskyard hold all";

/// Of `release`.
pub const RELEASE: &str = "\
Examples:
  taskyard release 12";

/// Of `update`.
pub const UPDATE: &str = "\
Examples:
  taskyard update 12 --time-limit 2h --max-running 8
  taskyard update 12 --time-limit none --queue batch
  taskyard update 12 --begin +30m            or none
  taskyard update 12 --name nightly --cpus 2 --mem 4GiB";

/// Of `explain`.
pub const EXPLAIN: &str = "\
Examples:
  taskyard explain last
  taskyard explain 12.5";

/// Of `simulate`.
pub const SIMULATE: &str = "\
Examples:
  taskyard simulate --from-cluster --since 7d
  taskyard simulate --generate lublin:load=0.9,seed=7 --html report.html
  taskyard simulate --trace log.swf --policy all --discipline easy,conservative
  taskyard simulate --trace log.swf --policy fcfs --discipline easy --output json
  taskyard simulate --trace log.swf --policy sjf,saf --max-wait 12h,1d,off
  taskyard simulate --trace - --procs 128 < log.swf

Columns (times in the unit below the heading; * marks the best):
  wait mean, p50, p95, p99, max   time from submit to start: mean, percentiles, longest
  slowdown       mean of max(1, (wait + run) / max(run, 10 s)): 2 is twice as long as necessary
  low, high      smallest and largest slowdown over the copies (--copies): variation by chance
  slowdown p99   99th percentile of the jobs' slowdowns
  used, GPUs     percent of CPUs (GPUs) that ran jobs, from first submit to last end
  worst user     mean slowdown of the worst-off user
  Gini           inequality of users' mean slowdowns, 0 to 1
  starved        jobs that waited longer than a day

A run is never recommended if another beats it: no larger slowdown, no longer longest wait and no
less use. Jobs that are left out or changed are counted by rule; lines that cannot be read are
named on standard error.

With one policy, one discipline and one placement, JSON has jobs, dropped, mean_wait_s,
mean_bounded_slowdown, utilisation and sum_start at the top level; with several, each of `runs`
has them. The exit code is 0 when done, 2 for a mistake in an option or the log, 3 to 5 as usual
with --from-cluster, 130 after Ctrl-C.";

/// Of `nodes`.
pub const NODES: &str = "\
Examples:
  taskyard nodes
  taskyard nodes n1
  taskyard nodes --output json";

/// Of `node`.
pub const NODE: &str = "\
Examples:
  taskyard node show n1
  taskyard node drain n1 --reason 'kernel upgrade'
  taskyard node resume n1
  taskyard node remove n1";

/// Of `node remove`.
pub const NODE_REMOVE: &str = "\
Examples:
  taskyard node remove n1                    once it is down, or drained and idle
  taskyard node remove n1 --force            at once, for example after its key was stolen";

/// Of `retention`.
pub const RETENTION: &str = "\
Examples:
  taskyard retention
  taskyard retention set --keep 30d
  taskyard retention set --keep 2d --max-tasks 5000000";

/// Of `status`.
pub const STATUS: &str = "\
Examples:
  taskyard status
  taskyard status --digest --output json";

/// Of `events`.
pub const EVENTS: &str = "\
Examples:
  taskyard events
  taskyard events --job last --from 0
  taskyard events --output jsonl";

/// Of `login`.
pub const LOGIN: &str = "\
Examples:
  taskyard login                             prompts for the token without echo
  taskyard login < token.txt
  taskyard login --server https://a.example:7420,https://b.example:7420 --ca ca.crt < token.txt

TASKYARD_TOKEN, or the file in TASKYARD_TOKEN_FILE, takes precedence over a saved token.";

/// Of `logout`.
pub const LOGOUT: &str = "\
Examples:
  taskyard logout                            the token stays valid; `taskyard token revoke` ends it";

/// Of `whoami`.
pub const WHOAMI: &str = "\
Examples:
  taskyard whoami
  taskyard whoami --output json";

/// Of `token`.
pub const TOKEN: &str = "\
Examples:
  taskyard token create --user ada --role submitter --namespace team-a
  taskyard token list
  taskyard token revoke 3f9a0c12e4b7";

/// Of `token create`.
pub const TOKEN_CREATE: &str = "\
Examples:
  taskyard token create --user ada --role submitter --namespace team-a --expires 30d > ada.token
  taskyard token create --user prometheus --role viewer --namespace '*' --expires never
  taskyard token create --kind agent --join > rack1.token      with TLS: valid for one machine
  taskyard token create --kind agent --join --uses 40 --expires 8h > rack1.token
  taskyard token create --user rack1 --kind agent --expires 365d > rack1.token

The token is the only thing on standard output.";

/// Of `token list`.
pub const TOKEN_LIST: &str = "\
Examples:
  taskyard token list
  taskyard token list --output json";

/// Of `token revoke`.
pub const TOKEN_REVOKE: &str = "\
Examples:
  taskyard token revoke 3f9a0c12e4b7";

/// Of `namespace`.
pub const NAMESPACE: &str = "\
Examples:
  taskyard namespace create team-a
  taskyard namespace list
  TASKYARD_NAMESPACE=team-a taskyard jobs    for every command without --namespace";

/// Of `namespace create`.
pub const NAMESPACE_CREATE: &str = "\
Examples:
  taskyard namespace create team-a";

/// Of `namespace list`.
pub const NAMESPACE_LIST: &str = "\
Examples:
  taskyard namespace list --output ids";

/// Of `schema`.
pub const SCHEMA: &str = "\
Examples:
  taskyard schema job > job.schema.json
  taskyard schema api > openapi.json";

/// Of `man`.
pub const MAN: &str = "\
Examples:
  taskyard man submit | man -l -
  taskyard man --dir ~/.local/share/man/man1     then: man taskyard-submit";

/// Of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  taskyard completions bash > ~/.local/share/bash-completion/completions/taskyard
  taskyard completions zsh > ~/.zfunc/_taskyard
  taskyard completions fish > ~/.config/fish/completions/taskyard.fish";

/// Of `backup`.
pub const BACKUP: &str = "\
Examples:
  taskyard backup create
  taskyard backup list
  taskyard backup verify
  taskyard backup restore --from s3://backups/taskyard --data-dir /var/lib/taskyard";

/// Of `backup create`.
pub const BACKUP_CREATE: &str = "\
Examples:
  taskyard backup create
  taskyard backup create --to offsite --output json";

/// Of `backup list`.
pub const BACKUP_LIST: &str = "\
Examples:
  taskyard backup list
  taskyard backup list --from /var/backups/taskyard
  taskyard backup list --from s3://backups/taskyard --output json";

/// Of `backup verify`.
pub const BACKUP_VERIFY: &str = "\
Examples:
  taskyard backup verify
  taskyard backup verify 20261124T053412Z-0000000000001234-taskyard
  taskyard backup verify latest --from s3://backups/taskyard

Without a server, a bucket's keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and its
address from AWS_ENDPOINT_URL and AWS_REGION, or all of them from the table [backup.s3] of the
--config file.";

/// Of `backup restore`.
pub const BACKUP_RESTORE: &str = "\
Examples:
  taskyard backup restore --from /var/backups/taskyard --data-dir /var/lib/taskyard
  taskyard backup restore --from s3://backups/taskyard --backup latest --data-dir new
  taskyard server --data-dir new       # then start each agent with a new data directory

First stop every server of the old cluster. A bucket's keys come from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY and its address from AWS_ENDPOINT_URL and AWS_REGION, or all of them from the
table [backup.s3] of the --config file.";
