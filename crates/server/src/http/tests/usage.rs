//! Shares and usage: what is counted, and who sees whose.

use super::Bench;
use super::matrix::{Holds, TEAM, token};
use serde_json::json;
use taskyard_model::{EVERYWHERE, JobSpec, Role};
use taskyard_state::{Command, Submit};

#[tokio::test]
async fn usage_is_summed_up_by_user_account_and_queue() {
    let bench = Bench::with_node().await;
    bench.submit(r#", "array": "1-3", "cpus": "1", "memory": "1GiB", "account": "physics""#).await;
    bench.submit(r#", "cpus": "0.5""#).await;
    bench.plan().await;
    bench.finish(1, 0, 0).await;
    bench.finish(1, 1, 3).await;
    let report = bench.get("/v1/usage?by=account&since=1h").await;
    let row = |name: Option<&str>| {
        let rows = report["items"].as_array().unwrap();
        rows.iter().find(|row| row["name"].as_str() == name).unwrap_or_else(|| panic!("{report:#}"))
    };
    let (physics, none) = (row(Some("physics")), row(None));
    assert_eq!(
        (&physics["tasks_started"], &physics["tasks_ended"], &physics["tasks_failed"]),
        (&json!(3), &json!(2), &json!(1))
    );
    // Each ran 20 ms on one core and used half of it.
    assert_eq!((&physics["cpu_used_ms"], &physics["efficiency_milli"]), (&json!(20), &json!(500)));
    assert_eq!((&physics["tasks_running"], &none["tasks_running"]), (&json!(1), &json!(1)));
    assert_eq!(report["total"]["tasks_started"], 4);
    assert_eq!(report["from_at_ms"].as_u64().unwrap() % 86_400_000, 0);
    for (by, name) in [("user", "ada"), ("queue", "default")] {
        let report = bench.get(&format!("/v1/usage?by={by}")).await;
        assert_eq!((&report["items"][0]["name"], &report["items"][1]), (&json!(name), &json!(null)));
        assert_eq!(report["items"][0]["tasks_started"], 4);
    }
    let (status, error) = bench.call("GET", "/v1/usage?by=job", None).await;
    assert_eq!((status, &error["error"]["field"]), (422, &json!("by")), "{error:#}");

    let weight = r#"{"account": "physics", "user": "ada", "weight": 25, "half_life": "2d"}"#;
    let (status, shares) = bench.call("PUT", "/v1/shares", Some(weight)).await;
    assert_eq!((status, &shares["half_life_ms"]), (200, &json!(172_800_000)));
    let ada = &shares["items"][1];
    assert_eq!((&ada["user"], &ada["weight"], &ada["due_ppm"]), (&json!("ada"), &json!(25), &json!(500_000)));
    assert_eq!((&ada["running_milli"], &shares["items"][0]["running_milli"]), (&json!(1_000), &json!(1_000)));
    bench.stop().await;
}

#[tokio::test]
async fn one_s_own_usage_is_for_everybody_and_that_of_others_for_viewers_of_everything() {
    let bench = Bench::with_tokens().await;
    bench.propose(Command::CreateNamespace { name: TEAM.into() }).await;
    for owner in ["ada", "boss"] {
        let spec = JobSpec { account: Some("physics".into()), ..JobSpec::command(vec!["true".into()]) };
        let submit = Submit { spec, owner: owner.into(), request_id: String::new(), retry_of: None };
        bench.propose(Command::Submit(Box::new(submit))).await;
    }
    bench.plan().await;
    let names = async |text: &str, path: &str, field: &str| {
        let (status, page) = bench.as_holder(text, "GET", path, "").await;
        assert_eq!(status, 200, "{page:#}");
        let items = page["items"].as_array().unwrap().iter();
        items.filter_map(|item| item[field].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let own = token(&bench, "ada", Holds::Role(Role::Admin, TEAM), None).await;
    assert_eq!(names(&own, "/v1/usage", "name").await, ["ada"]);
    assert_eq!(names(&own, "/v1/shares", "user").await, ["ada"]);
    let all = token(&bench, "eve", Holds::Role(Role::Viewer, EVERYWHERE), None).await;
    assert_eq!(names(&all, "/v1/usage", "name").await, ["ada", "boss"]);
    assert_eq!(names(&all, "/v1/shares", "user").await, ["ada", "boss"]);
    let (status, _) = bench.as_holder(&all, "PUT", "/v1/shares", r#"{"half_life": "2d"}"#).await;
    assert_eq!(status, 403);
    bench.stop().await;
}
