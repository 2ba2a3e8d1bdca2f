//! Queues and pools as operators set them, and what happens to jobs then.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::desk::Desk;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::fs;

/// At a node of 4 CPUs and 8 GiB.
fn at_one() -> Desk {
    let mut cluster = Cluster::start(0, "4", ServerOptions::default());
    cluster.add_agent("n1", &["--cpus", "4", "--mem", "8GiB"]);
    cluster.wait_nodes(1);
    Desk::at(cluster)
}

#[test]
fn queues_are_made_limited_and_deleted() {
    let desk = at_one();
    let made = "queue create short --policy multi-factor --age 7 --max-limit 1h --max-cpus 2 --max-tasks 10";
    let queue = desk.types(&format!("{made} --output json")).code(0).json();
    assert_eq!((&queue["factors"]["age"], &queue["max_limit_ms"]), (&7.into(), &3_600_000.into()));
    desk.types(made).code(2).says(&["there is a queue short already", "taskyard queue set short"]);
    desk.types("queue set short --max-mem 4GiB --max-tasks none").code(0);
    let table = desk.types("queues").code(0).stdout;
    assert!(table.contains("1h, 2 cpus, 4GiB"), "{table}");

    // What it does not take is refused by the option, with the most that it takes.
    let submit = |options: &str| desk.types(&format!("submit --queue short {options} -- true"));
    submit("--cpus 3").code(2).says(&["--cpus", "\"3\"", "queue short allows at most 2"]);
    submit("--mem 5GiB").code(2).says(&["--mem", "queue short allows at most 4GiB"]);
    submit("--time-limit 2h").code(2).says(&["--time-limit", "queue short allows at most 1h"]);
    let job = submit("--parsable --hold").code(0).id().to_string();
    let shown = desk.types(&format!("show {job} --output json")).code(0).json();
    assert_eq!(shown["spec"]["time_limit"], "1h", "a job without a limit gets the longest");
    desk.types(&format!("update {job} --time-limit 3h")).code(2).says(&["--time-limit", "at most 1h"]);

    desk.types("queue delete short").code(2).says(&["1 jobs that are not finished", "--queue OTHER"]);
    desk.types("queue delete default").code(2).says(&["cannot be deleted"]);
    desk.types("queue delete lost").code(4);
    desk.types(&format!("cancel {job}")).code(0);
    assert_eq!(desk.types("queue delete short").code(0).stdout.trim(), "queue short is deleted");
    assert_eq!(desk.types("queues --output ids").code(0).stdout.trim(), "default");
    submit("--parsable").code(2).says(&["--queue", "the queues are default"]);

    desk.types("queue set q --max-mem 4").code(2).says(&["--max-mem", "needs a unit"]);
    desk.types("queue set q --age -1").code(2).says(&["--age", "between 0 and"]);
    desk.types("queue set q --pool fast").code(2).says(&["--pool", "taskyard pool set fast"]);
    desk.types("queue set q --policy lifo").code(2).says(&["--policy", "multi-factor"]);
}

#[test]
fn a_strict_pool_lets_nobody_pass() {
    let desk = at_one();
    desk.types("pool set default --discipline greedy").code(0);
    let blocker = desk.types("submit --parsable --cpus 3 -- sleep 600").code(0).id();
    let wide = desk.types("submit --parsable --cpus 2 -- true").code(0).id();
    let small = || desk.types("submit --parsable --cpus 1 -- true").code(0).id();
    let state = |job: u64| {
        let job = desk.types(&format!("show {job} --output json")).code(0).json();
        job["state"].as_str().unwrap().to_owned()
    };
    eventually("the blocker runs", SOON, || (state(blocker) == "running").then_some(()));
    let passes = small();
    desk.types(&format!("wait {passes} --timeout 30s")).code(0);

    let pool = desk.types("pool set default --discipline strict --output json").code(0).json();
    assert_eq!((&pool["discipline"], &pool["nodes_up"]), (&"strict".into(), &1.into()));
    let stays = small();
    desk.types(&format!("wait {stays} --timeout 2s")).code(6);
    assert_eq!((state(wide).as_str(), state(stays).as_str()), ("pending", "pending"));
    desk.types(&format!("cancel {blocker}")).code(0);
    desk.types(&format!("wait {wide} {stays} --timeout 30s")).code(0);
}

#[test]
fn pools_have_the_nodes_that_they_select() {
    let desk = at_one();
    desk.types("pool set fast").code(2).says(&["--nodes", "selects its nodes"]);
    desk.types("pool set none --nodes zone==a").code(2).says(&["another name"]);
    desk.types("pool set fast --nodes zone==a --spread rack").code(2).says(&["--spread", "placement"]);
    desk.types("pool set fast --nodes zone==a --placement bin-pack").code(0);
    desk.types("queue set default --pool fast").code(0);
    let job = desk.types("submit --parsable -- true").code(0).id();
    desk.types(&format!("wait {job} --timeout 1s")).code(6);
    desk.types("pool delete fast").code(2).says(&["used by default", "--pool OTHER"]);
    let pools = desk.types("pools").code(0).stdout;
    assert!(pools.contains("zone == a") && pools.contains("all others"), "{pools}");
    desk.types("queue set default --pool none").code(0);
    desk.types(&format!("wait {job} --timeout 30s")).code(0);
    desk.types("pool delete fast").code(0);
    assert_eq!(desk.types("pools --output ids").code(0).stdout.trim(), "default");
    assert_eq!(desk.types("nodes --output json").code(0).json()[0]["pool"], "default");
}

#[test]
fn usage_says_who_took_what() {
    let desk = at_one();
    desk.types("queue create fair --policy fair-share").code(0);
    let burn = "while :; do [ $(cut -d. -f1 /proc/uptime) -ge $1 ] && exit; done";
    fs::write(
        desk.home.join("burn"),
        format!("#!/bin/sh\nset -- $(($(cut -d. -f1 /proc/uptime) + 2))\n{burn}\n"),
    )
    .unwrap();
    let submit = "submit --parsable --queue fair --account physics --cpus 2 --array 1-2 -- sh burn";
    let job = desk.types(submit).code(0).id();
    desk.types(&format!("wait {job} --timeout 60s")).code(0);
    desk.types("submit --wait --account maths -- false").code(1);
    let report = desk.types("usage --by account --since 1h --output json").code(0).json();
    let row = |name: &str| {
        let rows = report["items"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{report:#}")).clone()
    };
    let (physics, maths) = (row("physics"), row("maths"));
    let number = |row: &Value, field: &str| row[field].as_u64().unwrap();
    // Two tasks on two cores each, for one to two seconds at least and not for a minute.
    let allocated = number(&physics, "cpu_allocated_ms");
    assert!((4_000..240_000).contains(&allocated), "{report:#}");
    let used = number(&physics, "cpu_used_ms");
    assert!(used > 200 && used < allocated && number(&physics, "efficiency_milli") <= 600, "{report:#}");
    assert_eq!((number(&physics, "tasks_ended"), number(&maths, "tasks_failed")), (2, 1), "{report:#}");
    let table = desk.types("usage --by queue").code(0).stdout;
    assert!(table.contains("EFFICIENCY") && table.lines().any(|line| line.starts_with("fair")), "{table}");
    desk.types("usage --by job").code(2).says(&["--by", "one of user, account, queue"]);
    desk.types("usage --since 7").code(2).says(&["--since", "7s (7 seconds)"]);

    let shares = "share set physics --weight 300 --output json";
    let shares = desk.types(shares).code(0).json();
    let physics = shares["items"].as_array().unwrap().iter().find(|s| s["account"] == "physics").unwrap();
    assert_eq!((&physics["weight"], &physics["due_ppm"]), (&300.into(), &750_000.into()), "{shares:#}");
    desk.types("share set --half-life 1d").code(0).says(&["counts half after 1d"]);
    desk.types("share set physics").code(2).says(&["--weight"]);
    desk.types("share set").code(2).says(&["ACCOUNT with --weight", "--half-life"]);
    desk.types("share set physics --weight 0").code(2).says(&["--weight", "between 1 and"]);
}

#[test]
fn users_share_short_tasks_evenly_and_no_slot_waits_for_its_turn() {
    share_short_tasks("fair-share");
}

#[test]
fn short_tasks_are_shared_where_the_share_is_one_factor_of_several() {
    share_short_tasks("multi-factor");
}

fn share_short_tasks(policy: &str) {
    let desk = at_one();
    desk.types(&format!("queue set default --policy {policy}")).code(0);
    let submit = |user: &str, tasks: u32| {
        desk.types(&format!("submit --as {user} --parsable --array 1-{tasks} -- true")).code(0).id()
    };
    let tasks_of = |job: u64, state: &str| {
        let shown = desk.types(&format!("show {job} --output json")).code(0).json();
        shown["tasks"][state].as_u64().unwrap()
    };
    // When its tasks ended: while a command starts on a busy machine, the other user's tasks go on.
    let ends = |job: u64| -> Vec<u64> {
        let rows = desk.types(&format!("tasks {job} --output json")).code(0).json();
        let ran = rows.as_array().unwrap().iter().filter(|row| row["state"] == "succeeded");
        let mut ends: Vec<u64> = ran.map(|row| row["ended_at_ms"].as_u64().unwrap()).collect();
        ends.sort_unstable();
        ends
    };
    let ada = submit("ada", 9_000);
    eventually("ada has all slots", SOON, || (tasks_of(ada, "succeeded") > 300).then_some(()));
    // More than is counted: both still run while they are looked at.
    let eve = submit("eve", 9_000);
    for (user, job) in [("eve", eve), ("ada", ada)] {
        let prefetched = format!("tasks of {user} wait at the node, so that no slot waits for a round trip");
        eventually(&prefetched, SOON, || (tasks_of(job, "prefetched") > 0).then_some(()));
    }
    let counted = || (tasks_of(eve, "succeeded") >= 1_500).then_some(());
    eventually("eve has run what is counted", 3 * SOON, counted);
    desk.types(&format!("cancel --now {ada} {eve}")).code(0);
    for job in [ada, eve] {
        desk.types(&format!("wait {job}")).code(1);
    }
    let (eves, adas) = (&ends(eve)[..1_500], ends(ada));
    let by = |time: &u64| adas.iter().filter(|end| *end <= time).count() as u64;
    let (before, all) = (by(&eves[0]), by(&eves[1_499]));
    let tasks = all - before;
    // Fair share looks back: what ada got before eve came counts too. As one factor of several it does so only among
    // those who run as much.
    let (got, even) = if policy == "fair-share" { (all, before.max(1_500)) } else { (tasks, 1_500) };
    // On a busy machine slots are free for whole round trips, at times of one user and at times of the other.
    assert!(all > 750 && got < 2 * even, "eve got 1500, ada {tasks} meanwhile and {before} before");
}
