//! Exit codes that need a server in a rare state: 5, not allowed, and 7, too much to do.

use crate::common::cli;
use crate::common::daemon::{Server, ServerOptions};
use crate::common::disk::build_shim;
use crate::common::http::Http;
use crate::common::{SOON, eventually};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A server takes so many bytes of proposals that are not on its disk yet.
const IN_FLIGHT_BYTES: usize = 16 << 20;

/// While it lives, the disk stands still; a failing test must not wait for it either.
struct Held<'a>(&'a Path);

impl Held<'_> {
    fn new(path: &Path) -> Held<'_> {
        fs::write(path, "").unwrap();
        Held(path)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

/// A disk that stops: what is in flight is bounded, and a user who comes too late is told so after a while, not never.
#[test]
fn a_server_that_is_overloaded_is_code_7() {
    let dir = tempfile::tempdir().unwrap();
    let hold = dir.path().join("hold");
    let options = ServerOptions::default()
        .env("LD_PRELOAD", build_shim(dir.path()))
        .env("POWERCUT_DIR", dir.path().join("data"))
        .env("POWERCUT_HOLD_SYNCS", &hold);
    let server = Server::start(dir.path(), options);
    let run = |args: &[&str]| cli::run(dir.path(), &server.url, args, "");
    let before = run(&["submit", "--parsable", "--hold", "--", "true"]).code(0).id();

    // As large as the others: a small one may find room beside them.
    let lines = "x".repeat(1 << 10) + "\n";
    fs::write(dir.path().join("lines"), lines.repeat(900)).unwrap();
    let held = Held::new(&hold);
    let script = format!("#!/bin/sh\n#{}\n", "x".repeat(900 << 10));
    let body = json!({ "spec": { "script": script, "hold": true } });
    let fills = IN_FLIGHT_BYTES / script.len() + 4;
    let (accepted, refused) = std::thread::scope(|scope| {
        let held = held;
        let fill = || Http::new(&server.url).ask("POST", "/v1/jobs", Some(&body)).status;
        let filling: Vec<_> = (0..fills).map(|_| scope.spawn(fill)).collect();
        // The last of them find no room; with them the server has all it takes.
        let refused = || filling.iter().filter(|thread| thread.is_finished()).count();
        eventually("the server takes no more", SOON, || (refused() > 0).then_some(()));

        let asked = Instant::now();
        let late = run(&["submit", "--each-line", "lines", "--", "true"]).code(7);
        late.says(&["the server is overloaded", "try again"]);
        let waited = asked.elapsed();
        assert!(waited > Duration::from_secs(10), "it gave up after {waited:?}");
        // Who only asks is served.
        let jobs = run(&["jobs", "--output", "ids"]).code(0);
        assert_eq!(jobs.stdout.trim(), before.to_string());

        drop(held);
        let codes: Vec<u16> = filling.into_iter().map(|thread| thread.join().unwrap()).collect();
        println!("overloaded: {fills} large submits, then code 7 after {waited:?}: {codes:?}");
        let count = |code| codes.iter().filter(|c| **c == code).count();
        (count(200), count(429))
    });
    assert!(accepted > 10 && refused > 0 && accepted + refused == fills, "{accepted} and {refused}");
    run(&["submit", "--each-line", "lines", "--", "true"]).code(0);
    let jobs = run(&["jobs", "--all", "--output", "ids"]).code(0).stdout;
    assert_eq!(jobs.lines().count(), 1 + accepted + 1, "what was refused did not happen");
}

/// Nobody logs in yet; what a server refuses is a name for it that a web page could have made up.
#[test]
fn what_is_not_allowed_is_code_5() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), ServerOptions::default());
    // The resolver knows this old way to write 127.0.0.1; the server takes it for the name it looks like.
    let url = server.url.replace("127.0.0.1", "127.1");
    for args in [&["jobs"][..], &["submit", "--", "true"], &["cancel", "1"], &["nodes"]] {
        cli::run(dir.path(), &url, args, "").code(5).says(&["127.1", "refused", "http://127.0.0.1:7420"]);
    }
    // No task's code can be mistaken for it.
    cli::run(dir.path(), &url, &["run", "--", "true"], "").code(125).says(&["refused"]);
    let jobs = cli::run(dir.path(), &server.url, &["jobs", "--output", "ids"], "").code(0);
    assert_eq!(jobs.stdout, "");
}
