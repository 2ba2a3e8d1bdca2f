//! What a caller sees, and what happens to tokens. Whom each route lets through is in `matrix.rs`.

use super::Bench;
use super::matrix::{CANARY, ELSEWHERE, Holds, TEAM, World, id_of, text_of, token};
use axum::body::Body;
use axum::http::{Request, header};
use taskyard_model::{CredentialKind, EVERYWHERE, JobSpec, Namespace, Role, limits};
use taskyard_state::{Command, Submit};
use tower::ServiceExt;

impl Bench {
    pub(super) async fn as_holder(
        &self,
        text: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, serde_json::Value) {
        let request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {text}"));
        let response =
            self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text_of(response.into_body()).await).unwrap_or_default())
    }
}

#[tokio::test]
async fn lists_and_reasons_hold_what_one_may_see() {
    let world = World::new().await;
    let bench = &world.bench;
    let holder = |place| token(bench, "ada", Holds::Role(Role::Viewer, place), None);
    let (team, elsewhere, everywhere) =
        (holder(TEAM).await, holder(ELSEWHERE).await, holder(EVERYWHERE).await);
    let ids = async |text: &str, query: &str| {
        let (status, page) = bench.as_holder(text, "GET", &format!("/v1/jobs{query}"), "").await;
        assert_eq!(status, 200, "{page}");
        super::numbers(&page, "id")
    };
    assert_eq!(ids(&team, "").await, [2, 1]);
    assert_eq!(ids(&elsewhere, "").await, [0; 0]);
    // What one may not see is as what is not there.
    for (hidden, absent) in
        [("namespace=team", "namespace=typo"), ("ids=1", "ids=99"), ("ids=1-2", "ids=98-99")]
    {
        for query in [hidden, absent] {
            let path = format!("/v1/jobs?name={CANARY}&{query}");
            let (status, answer) = bench.as_holder(&elsewhere, "GET", &path, "").await;
            assert_eq!((status, &answer["error"]["code"]), (404, &"not_found".into()), "{path}: {answer}");
        }
    }
    assert_eq!(ids(&everywhere, &format!("?namespace={TEAM}")).await, [2, 1]);
    assert_eq!(ids(&everywhere, "?namespace=default").await, [0; 0]);

    // A job elsewhere waits behind those of the team, and says so without naming them.
    let spec = JobSpec {
        namespace: Namespace::parse("namespace", ELSEWHERE).unwrap(),
        ..JobSpec::command(vec!["true".into()])
    };
    let mut wide = spec.clone();
    wide.request.amounts.cpu_milli = 1_000;
    let submit = Submit { spec: wide, owner: "ada".into(), request_id: String::new(), retry_of: None };
    bench.propose(Command::Submit(Box::new(submit))).await;
    let (_, page) = bench.as_holder(&elsewhere, "GET", "/v1/jobs", "").await;
    assert_eq!(page["items"][0]["reason"], "behind another job", "{page:#}");
    let (_, page) = bench.as_holder(&everywhere, "GET", "/v1/jobs?ids=3", "").await;
    assert_eq!(page["items"][0]["reason"], "behind job 2", "{page:#}");
    let (_, why) = bench.as_holder(&everywhere, "GET", "/v1/jobs/3/explain", "").await;
    assert_eq!((&why["position"], &why["behind"]), (&3.into(), &serde_json::json!([1, 2])), "{why:#}");
    let (_, why) = bench.as_holder(&elsewhere, "GET", "/v1/jobs/3/explain", "").await;
    assert_eq!((&why["position"], why.get("behind")), (&3.into(), None), "{why:#}");

    let names = async |text: &str| {
        let (_, page) = bench.as_holder(text, "GET", "/v1/namespaces", "").await;
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&team).await, [TEAM]);
    assert_eq!(names(&everywhere).await, ["default", ELSEWHERE, TEAM]);
    let (_, mine) = bench.as_holder(&team, "GET", "/v1/tokens", "").await;
    assert!(mine["items"].as_array().unwrap().iter().all(|t| t["user"] == "ada"), "{mine:#}");
    world.bench.stop().await;
}

/// Who may not see a job can neither wait for it nor learn how it stands from one that does.
#[tokio::test]
async fn predecessors_are_told_to_those_who_may_see_them() {
    let world = World::new().await;
    let bench = &world.bench;
    let holder = |role, place| token(bench, "ada", Holds::Role(role, place), None);
    let (submitter, viewer) =
        (holder(Role::Submitter, ELSEWHERE).await, holder(Role::Viewer, ELSEWHERE).await);
    let everywhere = holder(Role::Submitter, EVERYWHERE).await;
    let body = |after: &str| {
        format!(r#"{{"spec": {{"command": ["x"], "namespace": "{ELSEWHERE}", "after": ["{after}"]}}}}"#)
    };
    let (_, hidden) = bench.as_holder(&submitter, "POST", "/v1/jobs", &body("any:1")).await;
    let (_, unknown) = bench.as_holder(&submitter, "POST", "/v1/jobs", &body("any:99")).await;
    let text = |error: &serde_json::Value| error["error"].to_string().replace("99", "1");
    assert_eq!(text(&hidden), text(&unknown), "one that may not be seen is not there");
    let (status, job) = bench.as_holder(&everywhere, "POST", "/v1/jobs", &body("ok:1")).await;
    assert_eq!((status, &job["job"]), (200, &3.into()), "{job:#}");
    let ask = async |text: &str, path: &str| bench.as_holder(text, "GET", path, "").await.1;
    assert_eq!(ask(&everywhere, "/v1/jobs/3").await["after"][0]["state"], "pending");
    let seen = ask(&viewer, "/v1/jobs/3").await;
    assert_eq!(seen["after"], serde_json::json!([{"job": 1, "need": "ok", "waits": true}]), "{seen:#}");
    bench.post_as_admin("/v1/jobs/1/cancel").await;
    for path in ["/v1/jobs/3", "/v1/jobs/3/explain", "/v1/jobs/3/tasks", "/v1/jobs"] {
        let seen = ask(&viewer, path).await.to_string();
        assert!(
            seen.contains("job 1 did not end as needed") && !seen.contains("was cancelled"),
            "{path}: {seen}"
        );
    }
    assert_eq!(ask(&everywhere, "/v1/jobs/3").await["reason"], "job 1 was cancelled");
    world.bench.stop().await;
}

/// What is ahead of a job is told without the names of jobs that may not be seen.
#[tokio::test]
async fn starts_and_plans_do_not_name_hidden_jobs() {
    let world = World::new().await;
    let bench = &world.bench;
    bench.plan().await;
    let submit = async |place: &str, cpus: u64| {
        let mut spec = JobSpec::command(vec!["true".into()]);
        spec.namespace = Namespace::parse("namespace", place).unwrap();
        spec.request.amounts.cpu_milli = cpus * 1_000;
        spec.time_limit_ms = Some(3_600_000);
        let submit = Submit { spec, owner: "ada".into(), request_id: String::new(), retry_of: None };
        bench.propose(Command::Submit(Box::new(submit))).await;
    };
    submit(TEAM, 2).await;
    bench.plan().await;
    submit(ELSEWHERE, 2).await;
    let holder = |role, place| token(bench, "ada", Holds::Role(role, place), None);
    let elsewhere = holder(Role::Submitter, ELSEWHERE).await;
    let everywhere = holder(Role::Submitter, EVERYWHERE).await;
    let viewer = holder(Role::Viewer, ELSEWHERE).await;
    for (text, jobs) in [(&elsewhere, serde_json::json!([])), (&everywhere, serde_json::json!([3]))] {
        let (_, why) = bench.as_holder(text, "GET", "/v1/jobs/4/explain", "").await;
        assert_eq!(why["start"]["counts_on"][0]["jobs"], jobs, "{why:#}");
        let body = format!(r#"{{"spec": {{"command": ["x"], "cpus": 2, "namespace": "{ELSEWHERE}"}}}}"#);
        let (status, plan) = bench.as_holder(text, "POST", "/v1/plan", &body).await;
        assert_eq!((status, &plan["verdict"]), (200, &"waits".into()), "{plan:#}");
        let (status, _) = bench.as_holder(&viewer, "POST", "/v1/plan", &body).await;
        assert_eq!(status, 403, "it needs the permission to submit");
    }
    let body = format!(r#"{{"spec": {{"command": ["x"], "namespace": "{TEAM}"}}}}"#);
    let (status, _) = bench.as_holder(&elsewhere, "POST", "/v1/plan", &body).await;
    assert_eq!(status, 403, "and in that namespace");
    world.bench.stop().await;
}

#[tokio::test]
async fn events_are_filtered_and_end_with_the_token() {
    use http_body_util::BodyExt;
    let world = World::new().await;
    let bench = &world.bench;
    let open = async |text: &str| {
        let request =
            Request::get("/v1/events?from=0").header(header::AUTHORIZATION, format!("Bearer {text}"));
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    };
    let next = async |body: &mut Body| {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(20), body.frame()).await.unwrap()?;
        let data = frame.map(|frame| frame.into_data().unwrap()).map_err(|error| error.to_string());
        Some(data.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let elsewhere = token(bench, "ada", Holds::Role(Role::Admin, ELSEWHERE), None).await;
    let mut stream = open(&elsewhere).await;
    let namespace = Namespace::parse("namespace", ELSEWHERE).unwrap();
    let spec = JobSpec { namespace, ..JobSpec::command(vec!["true".into()]) };
    let submit =
        || Submit { spec: spec.clone(), owner: "ada".into(), request_id: String::new(), retry_of: None };
    bench.propose(Command::Submit(Box::new(submit()))).await;
    bench.post_as_admin("/v1/jobs/3/hold").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let text = next(&mut stream).await.unwrap().unwrap();
        // Everybody sees the nodes.
        seen.extend(
            text.lines()
                .filter_map(|l| l.strip_prefix("data:"))
                .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
                .filter(|event| event["node"].is_null()),
        );
    }
    let kinds: Vec<_> =
        seen.iter().map(|event| (event["kind"].as_str().unwrap(), event["job"].as_u64())).collect();
    assert_eq!(kinds, [("job_submitted", Some(3)), ("job_held", Some(3))], "and none of the team's");
    bench.propose(Command::RevokeToken { id: id_of(&elsewhere) }).await;
    bench.post_as_admin("/v1/jobs/3/release").await;
    let end = next(&mut stream).await.unwrap();
    assert!(end.is_err(), "a stream of a revoked token broke off: {end:?}");
    world.bench.stop().await;
}

#[tokio::test]
async fn a_wait_that_outlives_its_token_says_nothing() {
    let world = World::new().await;
    let bench = &world.bench;
    let viewer = token(bench, "ada", Holds::Role(Role::Viewer, TEAM), None).await;
    let waits = bench.as_holder(&viewer, "GET", "/v1/jobs/1?wait_ms=60000", "");
    let (answer, ()) = tokio::join!(waits, async {
        bench.propose(Command::RevokeToken { id: id_of(&viewer) }).await;
        bench.post_as_admin("/v1/jobs/1/cancel").await;
    });
    assert_eq!(answer.0, 401, "{:#}", answer.1);
    world.bench.stop().await;
}

impl Bench {
    async fn post_as_admin(&self, path: &str) {
        let admin = token(self, "root", Holds::Role(Role::Admin, EVERYWHERE), None).await;
        let (status, json) = self.as_holder(&admin, "POST", path, "{}").await;
        assert_eq!(status, 200, "{json:#}");
    }
}

/// User, verb, object and outcome of each line of an audit, but for settings.
fn acts(lines: &[serde_json::Value]) -> Vec<String> {
    let acts = lines.iter().filter(|line| line["verb"] != "set");
    let words = |line: &serde_json::Value| {
        ["user", "verb", "object", "outcome"].map(|key| line[key].as_str().unwrap().to_owned())
    };
    acts.map(|line| words(line).join(" ")).collect()
}

#[tokio::test]
async fn a_token_from_its_making_to_its_end() {
    let bench = Bench::with_tokens().await;
    let admin = token(&bench, "root", Holds::Role(Role::Admin, EVERYWHERE), None).await;
    let (status, made) = bench.as_holder(&admin, "PUT", "/v1/namespaces/team", "").await;
    assert_eq!((status, &made["name"]), (200, &"team".into()));
    let body = r#"{"user": "ada", "label": "laptop", "grants": [{"namespace": "team", "role": "submitter"}], "expires": "1d"}"#;
    let (status, made) = bench.as_holder(&admin, "POST", "/v1/tokens", body).await;
    assert_eq!(
        (status, &made["token"]["state"], &made["token"]["created_by"]),
        (200, &"active".into(), &"root".into())
    );
    let text = made["secret"].as_str().unwrap().to_owned();
    let (_, who) = bench.as_holder(&text, "GET", "/v1/whoami", "").await;
    assert_eq!(
        (&who["user"], &who["kind"], &who["grants"][0]["role"]),
        (&"ada".into(), &"user".into(), &"submitter".into())
    );
    let submit = |namespace: &str| {
        format!(r#"{{"spec": {{"command": ["true"], "namespace": "{namespace}", "account": "a7"}}}}"#)
    };
    let grant = r#"{"account": "a7", "grant": ["ada"]}"#;
    assert_eq!(bench.as_holder(&admin, "PUT", "/v1/shares", grant).await.0, 200);
    let (status, job) = bench.as_holder(&text, "POST", "/v1/jobs", &submit("team")).await;
    assert_eq!((status, &job["job"]), (200, &1.into()));
    let (_, job) = bench.as_holder(&text, "GET", "/v1/jobs/1", "").await;
    assert_eq!(
        (&job["user"], &job["namespace"], &job["account"]),
        (&"ada".into(), &"team".into(), &"a7".into())
    );
    let (status, denied) = bench.as_holder(&text, "POST", "/v1/jobs", &submit("default")).await;
    let message = denied["error"]["message"].as_str().unwrap();
    assert_eq!(
        (status, message),
        (403, "you may not submit jobs: that needs the role submitter in the namespace default")
    );
    let (status, missing) = bench.as_holder(&admin, "POST", "/v1/jobs", &submit("nowhere")).await;
    assert_eq!((status, &missing["error"]["field"]), (422, &"namespace".into()));

    let (_, listed) = bench.as_holder(&admin, "GET", "/v1/tokens", "").await;
    assert!(!listed.to_string().contains(text.rsplit('_').next().unwrap()), "a list shows no secret");
    let path = format!("/v1/tokens/{}/revoke", id_of(&text));
    assert_eq!(bench.as_holder(&text, "POST", &path, "").await.1["state"], "revoked");
    let (status, gone) = bench.as_holder(&text, "GET", "/v1/whoami", "").await;
    assert_eq!((status, &gone["error"]["code"]), (401, &"unauthenticated".into()));
    let audit = std::fs::read_to_string(bench.app.config.data_dir.join("audit.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = audit.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let said = acts(&lines);
    let id = id_of(&text);
    let expected = [
        "root create namespace team done".into(),
        format!("root create token {id} done"),
        "ada submit job true done".into(),
        "ada submit jobs denied".into(),
        format!("ada revoke token {id} done"),
        " view myself unauthenticated".into(),
    ];
    assert_eq!(said, expected);
    assert!(lines[0]["index"].as_u64() > Some(0) && lines[3]["namespace"] == "team", "{audit}");
    bench.stop().await;
}

#[tokio::test]
async fn strangers_cause_no_work() {
    let bench = Bench::with_tokens().await;
    // Its body would be refused as too large, and its path as unknown, if anybody looked.
    let big = Request::post("/v1/jobs").body("x".repeat(limits::HTTP_BODY_BYTES_MAX + 1).into()).unwrap();
    let nowhere = Request::get("/v1/no/such/path").body(Body::empty()).unwrap();
    let method = Request::delete("/v1/jobs").body(Body::empty()).unwrap();
    for request in [big, nowhere, method] {
        let response = bench.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
    let long = Request::get("/healthz").header("x-long", "x".repeat(limits::HTTP_HEADERS_BYTES_MAX));
    let response = bench.router.clone().oneshot(long.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 413);
    let as_said = Request::get("/v1/jobs").header("taskyard-user", "root").body(Body::empty()).unwrap();
    assert_eq!(bench.router.clone().oneshot(as_said).await.unwrap().status(), 401, "a name is no credential");
    bench.stop().await;
}

#[tokio::test]
async fn certificates_count_like_tokens_of_their_kind() {
    use crate::secure::Peer;
    use crate::secure::ShownCertificate;
    use axum::extract::ConnectInfo;
    let bench = Bench::with_tokens().await;
    let admin = token(&bench, "root", Holds::Role(Role::Admin, EVERYWHERE), None).await;
    let ask = async |kind, text: Option<&str>, method: &str, path: &str| {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(text) = text {
            request = request.header(header::AUTHORIZATION, format!("Bearer {text}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(ShownCertificate(Some(Peer {
            kind,
            name: "n1".into(),
            joined: 0,
            until: None,
        }))));
        bench.router.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let session = taskyard_wire::SESSION_PATH;
    assert_eq!(
        ask(CredentialKind::Agent, None, "POST", session).await,
        426,
        "it lacks the upgrade, not the right"
    );
    assert_eq!(ask(CredentialKind::Server, None, "POST", session).await, 403);
    assert_eq!(ask(CredentialKind::User, None, "POST", session).await, 403);
    for kind in CredentialKind::ALL {
        assert_eq!(ask(kind, None, "GET", "/v1/nodes").await, 403, "{kind:?}");
    }
    assert_eq!(ask(CredentialKind::User, None, "GET", "/v1/whoami").await, 200);
    assert_eq!(
        ask(CredentialKind::Server, Some(&admin), "GET", "/v1/nodes").await,
        200,
        "a server passes a user's token on"
    );
    assert_eq!(
        ask(CredentialKind::Agent, Some(&admin), "GET", "/v1/nodes").await,
        401,
        "an agent has no use for one"
    );
    bench.stop().await;
}
