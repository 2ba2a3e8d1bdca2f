//! Small tables by hand, and the public ones where they are.

use super::*;
use std::fs;

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\nNode-1,32000,1024,0,\nnode-2,8000,2048,2,T4\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n";

fn try_both(pods: &str, nodes: &str) -> Result<Workload, String> {
    let folder = tempfile::tempdir().unwrap();
    let (p, n) = (folder.path().join("pods.csv"), folder.path().join("nodes.csv"));
    fs::write(&p, pods).unwrap();
    fs::write(&n, nodes).unwrap();
    read(&p, &n, Estimates::User).map_err(|e| e.to_string())
}

fn pods(rows: &str) -> Workload {
    try_both(&format!("{PODS}{rows}"), NODES).unwrap()
}

#[test]
fn reads_amounts_labels_and_times() {
    let w = pods(
        "b,1500,100,1,460,T4|V100,BE,Running,20,50,21\na,32000,1,0,0,,LS,Running,10,12,11\n\
                  c,1,1,2,1000,,BE,Running,20,22,21\n",
    );
    assert_eq!(w.jobs.iter().map(|j| j.id).collect::<Vec<_>>(), [2, 1, 3], "by submit");
    assert_eq!(w.constraints.len(), 1);
    assert_eq!(w.constraints[&1].to_string(), "gpu.model in (T4,V100)", "by position, not by number");
    let b = &w.jobs[1];
    assert_eq!((b.submit_ms, b.run_ms, b.procs, b.estimate_ms), (20_000, 29_000, 2, None));
    assert_eq!((b.request.amounts.memory, b.request.gpu_milli), (100 << 20, 460));
    assert_eq!(w.jobs[2].request.gpu_milli, 2_000);
    assert_eq!(w.users, ["BE", "LS"]);
    assert_eq!((w.nodes[0].name.as_str(), w.nodes[1].labels["gpu.model"].as_str()), ("node-1", "T4"));
    assert_eq!((w.cpu_milli(), w.gpu_milli()), (40_000, 2_000));
}

#[test]
fn what_cannot_run_is_counted_by_rule() {
    let w = pods(
        "a,1,1,0,0,,,Running,1,3,2\nb,1,1,0,0,,,Pending,1,3,\nc,1,1,0,0,,,Running,1,,2\n\
                  d,1,1,0,0,,,Failed,1,2,2\ne,1,9999,0,0,,,Running,1,3,2\nf,1,1,1,100,P100,,Running,1,3,2\n",
    );
    assert_eq!(w.jobs.len(), 1);
    assert_eq!(
        w.dropped,
        [("never_scheduled", 1), ("never_deleted", 1), ("run_not_positive", 1), ("fits_no_node", 2)].into()
    );
}

#[test]
fn malformed_rows_name_line_and_column() {
    let w = pods(
        "a,1,1,0,0,,,Running,1,3,2\nb,x,1,0,0,,,Running,1,3,2\nc,1\nd,1,-1,0,0,,,Running,1,3,2\n\
                  e,1,1,2,500,,,Running,1,3,2\nf,1,1,1,5,\"T4 && x\",,Running,1,3,2\ng,1,1,0,0,,,Running,,3,2\n\
                  h,1,99999999999,0,0,,,Running,1,3,2\n",
    );
    let found: Vec<_> = w.malformed.first.iter().map(|m| (m.line, m.why.clone())).collect();
    let expected = [
        (3, "column cpu_milli: \"x\""),
        (4, "2 cells, the first line has 11"),
        (5, "column memory_mib: \"-1\""),
        (6, "column gpu_milli: \"500\""),
        (7, "column gpu_spec: \"T4 && x\""),
        (8, "column creation_time: a second is expected"),
        (9, "column memory_mib: \"99999999999\""),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((line, why), (at, what)) in found.iter().zip(expected) {
        assert!(*line == at && why.starts_with(what), "{line}: {why}");
    }
    assert_eq!(w.jobs.len(), 1);
}

#[test]
fn tables_that_cannot_be_used_say_why() {
    let check = |pods: &str, nodes: &str, says: &[&str]| {
        let error = try_both(pods, nodes).unwrap_err();
        assert!(says.iter().all(|s| error.contains(s)), "{error}");
    };
    check("name,cpu\n", NODES, &["column cpu_milli", "\"name,cpu\"", "pods has no such column"]);
    check("", NODES, &["column cpu_milli"]);
    check(PODS, NODES, &["0 records"]);
    check(PODS, "sn,cpu_milli,memory_mib\n", &["column gpu", "nodes"]);
    check(PODS, "sn,cpu_milli,memory_mib,gpu\n", &["no rows"]);
    check(PODS, "sn,cpu_milli,memory_mib,gpu\na,1,1,many\n", &["nodes, line 2, column gpu", "many"]);
    check(PODS, "sn,cpu_milli,memory_mib,gpu\na,1,1,0\na,1,1,0\n", &["line 3", "\"a\"", "came before"]);
    check(PODS, "sn,cpu_milli,memory_mib,gpu\na,1\n", &["line 2", "2 cells"]);
    check(PODS, "sn,cpu_milli,memory_mib,gpu\na b,1,1,1\n", &["column sn"]);
}

proptest::proptest! {
    #[test]
    fn no_cells_crash_it(rows in "([0-9a-z.|,\"-]{0,40}\n){0,6}") {
        let _ = try_both(&format!("{PODS}{rows}"), NODES);
        let _ = try_both(PODS, &format!("{NODES}{rows}"));
    }
}

#[test]
fn public_tables() {
    let file = |name: &str| crate::swf::public(&format!("alibaba_gpu-v2023_csv_openb_{name}.csv.xz"));
    let (Some(pods), Some(nodes)) = (file("pod_list_default"), file("node_list_all_node")) else { return };
    let w = read(&pods, &nodes, Estimates::Clairvoyant).unwrap();
    assert_eq!((w.nodes.len(), w.malformed.total), (1_523, 0));
    assert_eq!(w.jobs.len() as u64 + w.dropped.values().sum::<u64>(), 8_152);
    assert_eq!(w.dropped, [("never_scheduled", 897)].into());
    assert_eq!(w.gpu_milli(), 6_212_000);
    assert!(w.jobs.iter().all(|j| j.estimate_ms == Some(j.run_ms)));
    assert!(w.constraints.is_empty() && w.jobs.is_sorted_by_key(|j| j.submit_ms));
}
