//! Small logs by hand, and the public ones where they are.

use super::*;
use crate::Workload;
use std::path::PathBuf;

const HEADER: &str =
    "; Version: 2.2\n;  MaxNodes: 4 (of two cpus)\n; MaxProcs: 8\n; MaxProcs: 99\n; Note: 12:30\n;\n\n";

fn log(text: &str) -> Log {
    parse("t", text.as_bytes()).unwrap()
}

/// `id submit run allocated requested requested-time user`.
fn line(fields: [i64; 7]) -> String {
    let [id, submit, run, allocated, requested, time, user] = fields;
    format!("{id} {submit} -1 {run} {allocated} -1 -1 {requested} {time} -1 1 {user} -1 -1 -1 -1 -1 -1\n")
}

fn workload(lines: &[[i64; 7]], filter: Filter) -> Workload {
    let text = lines.iter().map(|l| line(*l)).collect::<String>();
    let options = SwfOptions { filter, ..SwfOptions::default() };
    log(&format!("{HEADER}{text}")).workloads(&options).unwrap().remove(0)
}

fn ids(workload: &Workload) -> Vec<u64> {
    workload.jobs.iter().map(|j| j.id).collect()
}

/// Records that each filter treats in its own way.
const RECORDS: [[i64; 7]; 11] = [
    [1, 0, 100, 2, 2, 200, 7],
    [2, 9, 0, 2, 2, 200, 7],     // did not run
    [3, 5, 300, -1, 4, 200, 8],  // ran too long; only the requested number
    [4, 5, 100, 4, -1, -1, 8],   // no estimate; only the allocated number
    [5, -1, 100, 2, 2, 200, 7],  // before the beginning
    [6, 6, 100, 9, 2, 200, 7],   // got more than there is
    [7, 6, 100, 2, 9, 200, 7],   // asked for more than there is
    [8, 7, 100, -1, -1, 200, 7], // no processors
    [9, 1, -1, 2, 2, -1, -1],    // nothing known
    [11, 4, 10, 2, 3, 20, 7],    // two numbers
    [10, 4, 10, 3, 2, 20, 7],    // numbers out of order
];

#[test]
fn filter_none() {
    let w = workload(&RECORDS, Filter::None);
    assert_eq!(ids(&w), [1, 11, 10, 3, 4, 6], "by submit, then as in the file");
    assert_eq!(
        w.dropped,
        [
            ("run_not_positive", 2),
            ("procs_not_positive", 1),
            ("submit_negative", 1),
            ("procs_above_machine", 1)
        ]
        .into()
    );
    assert_eq!(
        w.changed,
        [
            ("run_cut_at_limit", 1),
            ("estimate_missing_taken_from_run", 1),
            ("submit_before_the_line_above_put_in_order", 1)
        ]
        .into()
    );
    let three = w.jobs.iter().find(|j| j.id == 3).unwrap();
    assert_eq!((three.run_ms, three.estimate_ms, three.limit_ms), (200_000, Some(200_000), Some(200_000)));
    assert_eq!((three.procs, three.request.amounts.cpu_milli), (4, 4_000));
    let four = w.jobs.iter().find(|j| j.id == 4).unwrap();
    assert_eq!((four.run_ms, four.estimate_ms, four.limit_ms), (100_000, Some(100_000), None));
    assert_eq!(w.users, ["7", "8"]);
    assert_eq!((three.user, four.user), (1, 1));
    assert_eq!(w.cpu_milli(), 8_000);
}

#[test]
fn filter_sc15() {
    let w = workload(&RECORDS, Filter::Sc15);
    assert_eq!(ids(&w), [1, 11, 10, 3]);
    assert_eq!(
        w.dropped,
        [
            ("run_not_positive", 2),
            ("estimate_not_positive", 1),
            ("procs_not_positive", 1),
            ("submit_negative", 1),
            ("procs_above_machine", 2)
        ]
        .into()
    );
}

#[test]
fn filter_rlwin() {
    let w = workload(&RECORDS, Filter::Rlwin);
    assert_eq!(ids(&w), [1, 9, 10, 11, 3, 4], "windows count by job number, a workload is by submit");
    let of = |id| w.jobs.iter().find(|j| j.id == id).unwrap();
    assert_eq!((of(3).run_ms, of(3).estimate_ms, of(3).limit_ms), (300_000, Some(200_000), None), "not cut");
    assert_eq!((of(9).run_ms, of(9).estimate_ms), (10_000, Some(0)));
    assert_eq!((of(10).procs, of(11).procs), (3, 3), "the larger of both");
    assert_eq!(w.users[of(9).user as usize], "unknown");
}

#[test]
fn clairvoyant_estimates_are_run_times() {
    let text = format!("{HEADER}{}", line([1, 0, 100, 2, 2, 200, 7]));
    let options = SwfOptions { estimates: Estimates::Clairvoyant, ..SwfOptions::default() };
    let job = log(&text).workloads(&options).unwrap()[0].jobs[0].clone();
    assert_eq!((job.estimate_ms, job.limit_ms), (Some(100_000), Some(200_000)));
}

#[test]
fn windows_are_cut_from_the_filtered_log() {
    let lines: String = (0..10).map(|i| line([i, i, i64::from(i != 3), 1, 1, 5, 1])).collect();
    let windows = Some(Windows { starts: vec![0, 5], length: 4 });
    let log = log(&format!("{HEADER}{lines}"));
    let cut = log.workloads(&SwfOptions { windows, ..SwfOptions::default() }).unwrap();
    assert_eq!(cut.iter().map(ids).collect::<Vec<_>>(), [[0, 1, 2, 4], [6, 7, 8, 9]]);
    assert_eq!(cut[1].name, "t [5+4]");
    let windows = Some(Windows { starts: vec![6], length: 4 });
    let error = log.workloads(&SwfOptions { windows, ..SwfOptions::default() }).unwrap_err().to_string();
    assert!(error.contains("6:4") && error.contains("9 jobs"), "{error}");
}

#[test]
fn malformed_lines_are_counted_with_their_numbers() {
    let good = line([1, 0, 100, 2, 2, 200, 7]);
    let text =
        format!("; MaxProcs: many\n{good}1 2 3\n{}x{good}\0\u{1b}[31m\n{good}", good.replace("200", "1e99"));
    let log = log(&text);
    assert_eq!((log.records.len(), log.malformed.total), (2, 5));
    let expected = [
        (1, "MaxProcs: \"many\""),
        (3, "3 fields, 12 are needed"),
        (4, "field 9 (requested time): \"1e99\""),
        (5, "field 1 (job number): \"x1\""),
        (6, "field 1 (job number)"),
    ];
    for (bad, (line, why)) in log.malformed.first.iter().zip(expected) {
        assert!(bad.line == line && bad.why.contains(why), "{bad:?}");
        assert!(!bad.why.contains('\u{1b}'), "nothing a terminal obeys");
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    let good = line([1, 0, 100, 2, 2, 200, 7]);
    let error = log(&good).workloads(&SwfOptions::default()).unwrap_err().to_string();
    assert!(error.contains("--procs"), "{error}");
    let procs = |n| SwfOptions { procs: Some(n), ..SwfOptions::default() };
    assert_eq!(log(&good).workloads(&procs(3)).unwrap()[0].cpu_milli(), 3_000);
    assert!(log(&good).workloads(&procs(0)).is_err());
    let error = log(&good).workloads(&procs(1)).unwrap_err().to_string();
    assert!(error.contains("1 records") && error.contains("procs_above_machine: 1"), "{error}");
    let error = log("").workloads(&procs(1)).unwrap_err().to_string();
    assert!(error.contains("the file is empty"), "{error}");
    let error = log("; MaxProcs: 4\n").workloads(&procs(1)).unwrap_err().to_string();
    assert!(error.contains("nothing but comments"), "{error}");
    let error = log("\u{1}\u{2}binary\n").workloads(&SwfOptions::default()).unwrap_err().to_string();
    assert!(error.contains("is this a log in SWF?") && !error.contains("--procs"), "{error}");
    let error = log(&format!("; MaxProcs: 128/256\n; MaxNodes: 4\n{good}"));
    let error = error.workloads(&SwfOptions::default()).unwrap_err().to_string();
    assert!(error.contains("MaxProcs: 128/256") && error.contains("--procs"), "{error}");
}

/// The machine of a header, or `None` if it is refused.
#[test]
fn a_machine_is_a_whole_number() {
    let good = line([1, 0, 100, 1, 1, 200, 7]);
    for (header, cpus) in [
        ("MaxProcs: 1,024", Some(1_024)),
        ("MaxProcs: 1,234,567", Some(1_234_567)),
        ("maxprocs : 16", Some(16)),
        ("MaxProcs: 128 (of 130)", Some(128)),
        ("MaxNodes: 8", Some(8)),
        ("MaxProcs: -1", None),
        ("MaxProcs: 1,02", None),
        ("MaxProcs: 1024,000", None),
        ("MaxProcs: ,024", None),
        ("MaxProcs: 1 024", None),
        ("MaxProcs: 12.5", None),
        ("MaxProcs: 1e3", None),
        ("MaxProcs: 0x10", None),
        ("MaxProcs: 128 nodes", None),
    ] {
        let read = log(&format!(";{header}\r\n{good}")).workloads(&SwfOptions::default());
        assert_eq!(read.ok().map(|w| w[0].cpu_milli() / 1_000), cpus, "{header}");
    }
    let notes = &log(&format!("; MaxNodes: 8\n; AllowOveruse: Yes\n{good}"))
        .workloads(&SwfOptions::default())
        .unwrap()[0]
        .notes;
    assert!(notes[0].contains("MaxNodes, 8") && notes[1].contains("AllowOveruse"), "{notes:?}");
}

/// One line, with a status and all that may stand around it.
#[test]
fn parts_of_a_job_are_no_jobs() {
    let with = |id: i64, run: i64, status: i64| {
        line([id, 0, run, 4, 4, 400, 7]).replace(" -1 1 7 ", &format!(" -1 {status} 7 "))
    };
    let text =
        [with(1, 300, 1), with(1, 100, 2), with(1, 200, 3), with(2, 50, 4), with(3, 60, 0), with(4, 70, 5)];
    let w = log(&format!("{HEADER}{}", text.concat())).workloads(&SwfOptions::default()).unwrap().remove(0);
    assert_eq!(ids(&w), [1, 3, 4]);
    let dropped =
        [("part_of_a_job_with_a_line_of_its_own", 2), ("part_of_a_job_without_a_line_of_its_own", 1)];
    assert_eq!(w.dropped, dropped.into());
}

#[test]
fn what_editors_do_to_a_log_changes_nothing() {
    let plain = format!("{HEADER}{}{}", line([1, 0, 100, 2, 2, 200, 7]), line([2, 5, 100, 2, 2, 200, 7]));
    let expected = log(&plain);
    for changed in [
        format!("\u{feff}{plain}"),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "  \t\n"),
        plain.replace(' ', "   "),
        plain.trim_end().to_owned(),
    ] {
        let changed = log(&changed);
        assert_eq!((changed.records, changed.header), (expected.records.clone(), expected.header.clone()));
        assert_eq!(changed.malformed.total, 0);
    }
}

#[test]
fn corrections_are_counted() {
    let half = line([2, 5, 100, 2, 2, 200, 7]).replace(" 100 ", " 100.5 ");
    let short = line([2, 3, 100, 2, 2, 200, 7]).replace(" -1 -1 -1 -1 -1 -1\n", "\n");
    let text = format!("{HEADER}{half}{short}");
    let w = log(&text).workloads(&SwfOptions::default()).unwrap().remove(0);
    let changed = [
        ("times_cut_to_whole_seconds", 1),
        ("fields_missing_at_the_end", 1),
        ("job_number_seen_before", 1),
        ("submit_before_the_line_above_put_in_order", 1),
    ];
    assert_eq!((w.changed, w.jobs.len()), (changed.into(), 2));
}

proptest::proptest! {
    #[test]
    fn no_bytes_crash_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let log = parse("t", &bytes[..]).unwrap();
        let _ = log.workloads(&SwfOptions { procs: Some(4), ..SwfOptions::default() });
    }

    #[test]
    fn no_numbers_crash_it(fields in proptest::array::uniform7(proptest::num::i64::ANY), filter in 0usize..3) {
        let log = log(&format!("{HEADER}{}", line(fields)));
        let _ = log.workloads(&SwfOptions { filter: Filter::NAMES[filter].1, ..SwfOptions::default() });
    }
}

/// Where the public logs are, or why a test of them is skipped.
pub(crate) fn public(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let folder = std::env::var_os("TASKYARD_TRACES").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("SKIPPED: {} is not there; set TASKYARD_TRACES to the folder of traces", path.display());
        return None;
    }
    Some(path)
}

/// What a filter should give: jobs, cpus, and sums that any wrong field would change.
struct Sums {
    jobs: usize,
    procs: u64,
    /// Σ run time × processors, in seconds.
    work: u128,
    /// Σ estimate, in seconds.
    estimates: u64,
    /// Σ position (from 1) × submit, in seconds.
    submits: u128,
}

fn check_public(name: &str, filter: Filter, records: usize, sums: &Sums) {
    let Some(path) = public(name) else { return };
    let log = read(&path).unwrap();
    assert_eq!((log.records.len(), log.malformed.total), (records, 0), "{name}");
    let workload = log.workloads(&SwfOptions { filter, ..SwfOptions::default() }).unwrap().remove(0);
    let jobs = &workload.jobs;
    assert_eq!((jobs.len(), workload.cpu_milli()), (sums.jobs, sums.procs * 1_000), "{name}");
    let work: u128 = jobs.iter().map(|j| u128::from(j.run_ms / 1_000) * u128::from(j.procs)).sum();
    let submits: u128 = (1..).zip(jobs).map(|(i, j)| i * u128::from(j.submit_ms / 1_000)).sum();
    let estimates = jobs.iter().filter_map(|j| j.estimate_ms).sum::<u64>() / 1_000;
    assert_eq!((work, estimates, submits), (sums.work, sums.estimates, sums.submits), "{name}");
}

/// The sums are those of the reference scripts that the published results were checked with.
#[test]
fn public_logs_are_read_as_by_others() {
    let kth = Sums {
        jobs: 28_481,
        procs: 100,
        work: 2_013_209_080,
        estimates: 389_572_200,
        submits: 8_007_014_198_829_885,
    };
    check_public("KTH-SP2_unfiltered.swf.xz", Filter::Sc15, 28_489, &kth);
    check_public("KTH-SP2_unfiltered.swf.xz", Filter::None, 28_489, &kth);
    let uncut = Sums { work: 2_024_618_666, ..kth };
    check_public("KTH-SP2_unfiltered.swf.xz", Filter::Rlwin, 28_489, &uncut);
    let blue = Sums {
        jobs: 232_542,
        procs: 1_152,
        work: 74_350_480_488,
        estimates: 2_257_121_661,
        submits: 1_551_640_284_409_869_489,
    };
    check_public("SDSC-BLUE-2000-4.1-cln.swf.gz", Filter::Sc15, 243_314, &blue);
    let first = Sums {
        jobs: 10_000,
        procs: 256,
        work: 2_092_781_168,
        estimates: 48_627_667,
        submits: 262_674_589_815_659,
    };
    let second = Sums { work: 726_158_669, estimates: 16_959_554, submits: 159_808_072_265_786, ..first };
    for filter in [Filter::None, Filter::Rlwin] {
        check_public("lublin_256.swf.xz", filter, 10_000, &first);
        check_public("lublin_256_new2.swf.xz", filter, 10_000, &second);
    }
}

/// The windows of RLScheduler's table: by position in the list of job numbers.
#[test]
fn public_windows() {
    let Some(path) = public("lublin_256.swf.xz") else { return };
    let windows = Windows::parse("--windows", "1981,2756,4299,8850:1024").unwrap();
    let options = SwfOptions { filter: Filter::Rlwin, windows: Some(windows), ..SwfOptions::default() };
    let cut = read(&path).unwrap().workloads(&options).unwrap();
    let ends: Vec<_> = cut.iter().map(|w| (w.jobs[0].id, w.jobs[w.jobs.len() - 1].id)).collect();
    assert_eq!(ends, [(1_982, 3_005), (2_757, 3_780), (4_300, 5_323), (8_851, 9_874)]);
    assert_eq!(cut[0].name, "lublin_256 [1981+1024]");
}
