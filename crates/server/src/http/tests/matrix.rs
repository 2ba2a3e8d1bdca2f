//! Every route with every kind of caller. What must come of each is worked out from what the route declares, and from a
//! few facts that are written here by hand: the table of the rules itself is tested where it is.

use super::Bench;
use crate::auth::{ObjectKind, Permission, Verb, draw};
use crate::http::declare::Declared;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use std::fmt;
use taskyard_model::{CredentialKind, EVERYWHERE, Grant, JobSpec, Namespace, Role, limits};
use taskyard_state::{Command, NewToken, Reply, State, Submit};
use tower::ServiceExt;

/// Where the objects are.
pub(super) const TEAM: &str = "team";
/// Where they are not.
pub(super) const ELSEWHERE: &str = "elsewhere";
/// The name of another user's job: only those who may see the job may read it.
pub(super) const CANARY: &str = "canary-job";

/// What a caller was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Role(Role, &'static str),
    Machine(CredentialKind),
}

/// What has become of it since, or what it is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential {
    Valid,
    Missing,
    Expired,
    Revoked,
    /// The id of a token, with another secret.
    Forged,
    /// An id that never was.
    Unknown,
    Garbage,
}

const CREDENTIALS: [Credential; 7] = [
    Credential::Valid,
    Credential::Missing,
    Credential::Expired,
    Credential::Revoked,
    Credential::Forged,
    Credential::Unknown,
    Credential::Garbage,
];

/// What comes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// Whatever the handler says.
    Through,
    Unauthenticated,
    Denied,
    /// The object is not there.
    Hidden,
}

impl fmt::Debug for Comes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comes::Through => "goes through",
            Comes::Unauthenticated => "401",
            Comes::Denied => "403",
            Comes::Hidden => "404 for the object",
        })
    }
}

fn callers() -> Vec<Holds> {
    let places = [TEAM, ELSEWHERE, EVERYWHERE];
    let roles = Role::ALL.iter().flat_map(|role| places.map(|place| Holds::Role(*role, place)));
    roles.chain([Holds::Machine(CredentialKind::Agent), Holds::Machine(CredentialKind::Server)]).collect()
}

/// The texts of one caller's credentials, by [`CREDENTIALS`].
type Texts = Vec<Option<String>>;

/// Objects: one of another user, one of the caller's.
struct Objects {
    jobs: [u64; 2],
    tokens: [String; 2],
}

pub(super) struct World {
    pub(super) bench: Bench,
    objects: Objects,
    texts: Vec<(Holds, Texts)>,
}

impl World {
    pub(super) async fn new() -> World {
        let bench = Bench::with_tokens().await;
        for name in [TEAM, ELSEWHERE] {
            bench.propose(Command::CreateNamespace { name: name.into() }).await;
        }
        let jobs = [job(&bench, "boss", CANARY).await, job(&bench, "ada", "mine").await];
        let spare = |user| token(&bench, user, Holds::Role(Role::Viewer, TEAM), None);
        let tokens = [id_of(&spare("boss").await), id_of(&spare("ada").await)];
        let mut texts = Vec::new();
        for holds in callers() {
            texts.push((holds, credentials(&bench, holds).await));
        }
        // What lives for a millisecond is over when a later entry comes.
        let made = bench.app.consensus.read(State::now_ms);
        while bench.app.consensus.read(State::now_ms) <= made + 1 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await; // sleep: state time must pass
            bench.propose(Command::Tick).await;
        }
        World { bench, objects: Objects { jobs, tokens }, texts }
    }

    /// Sends one request; what came of it, and what was said.
    async fn ask(&self, route: &Declared, own: bool, text: &Option<String>) -> (Comes, u16, String) {
        let at = usize::from(own);
        let path = route
            .path
            .replace("{job}", &self.objects.jobs[at].to_string())
            .replace("{token}", &self.objects.tokens[at])
            .replace("{task}", "1")
            .replace("{node}", "n1")
            .replace("{queue}", "default")
            .replace("{pool}", "default")
            .replace("{window}", "disks")
            .replace("{server}", "1")
            .replace("{namespace}", "made-by-test");
        let mut request = Request::builder().method(route.method.clone()).uri(path);
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(text) = text {
            request = request.header(header::AUTHORIZATION, format!("Bearer {text}"));
        }
        let response =
            self.bench.router.clone().oneshot(request.body(Body::from(body(route))).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let streams = status == 200 && route.permission.kind == ObjectKind::Event;
        let said = if streams { String::new() } else { text_of(response.into_body()).await };
        let comes = match status {
            401 => Comes::Unauthenticated,
            403 => Comes::Denied,
            404 if said.contains("there is no job") || said.contains("there is no token") => Comes::Hidden,
            _ => Comes::Through,
        };
        (comes, status, said)
    }
}

pub(super) async fn text_of(body: Body) -> String {
    let bytes = to_bytes(body, limits::MESSAGE_BYTES_MAX).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A body that the route takes, so that what is refused is not refused for its body.
fn body(route: &Declared) -> String {
    let spec = format!(r#"{{"spec": {{"command": ["true"], "namespace": "{TEAM}"}}}}"#);
    match (route.permission.verb, route.permission.kind) {
        (Verb::Submit, _) if route.path == "/v1/check" => format!(r#"{{"jobs": [{spec}]}}"#),
        (Verb::Submit, _) => spec,
        (Verb::Update, _) => r#"{"priority": 1}"#.into(),
        (Verb::Create, ObjectKind::Token) => r#"{"user": "x", "grants": [{"role": "viewer"}]}"#.into(),
        (Verb::Set, ObjectKind::Node) => r#"{"until": "+1h", "nodes": "zone == b"}"#.into(),
        (Verb::View, _) => String::new(),
        _ => "{}".into(),
    }
}

async fn job(bench: &Bench, owner: &str, name: &str) -> u64 {
    let namespace = Namespace::parse("namespace", TEAM).unwrap();
    let spec = JobSpec { namespace, name: name.into(), ..JobSpec::command(vec!["true".into()]) };
    let submit = Submit { spec, owner: owner.into(), request_id: String::new(), retry_of: None };
    match bench.propose(Command::Submit(Box::new(submit))).await {
        Reply::Submitted { job, .. } => job.0,
        other => panic!("{other:?}"),
    }
}

/// Makes a token; its text.
pub(super) async fn token(bench: &Bench, user: &str, holds: Holds, life_ms: Option<u64>) -> String {
    let drawn = draw().unwrap();
    let (kind, grants) = match holds {
        Holds::Machine(kind) => (kind, Vec::new()),
        Holds::Role(role, place) => (CredentialKind::User, vec![Grant { namespace: place.into(), role }]),
    };
    let new = NewToken {
        id: drawn.id,
        hash: drawn.hash,
        user: user.into(),
        label: String::new(),
        kind,
        grants,
        life_ms,
        created_by: "test".into(),
        only_first: false,
        join: false,
        uses: 0,
    };
    assert_eq!(bench.propose(Command::CreateToken(Box::new(new))).await, Reply::Done);
    drawn.text.expose().to_owned()
}

pub(super) fn id_of(text: &str) -> String {
    text.split('_').nth(1).unwrap().to_owned()
}

async fn credentials(bench: &Bench, holds: Holds) -> Texts {
    let valid = token(bench, "ada", holds, None).await;
    let revoked = token(bench, "ada", holds, None).await;
    bench.propose(Command::RevokeToken { id: id_of(&revoked) }).await;
    let other = draw().unwrap().text.expose().to_owned();
    let forged = other.replace(&id_of(&other), &id_of(&valid));
    vec![
        Some(valid.clone()),
        None,
        Some(token(bench, "ada", holds, Some(1)).await),
        Some(revoked),
        Some(forged),
        Some(other),
        Some(valid[..valid.len() - 1].to_owned()),
    ]
}

/// What must come of it, from what the route declares.
fn expected(route: &Declared, holds: Holds, credential: Credential, own: bool) -> Comes {
    use crate::auth::rules::{Requirement, need};
    let Permission { verb, kind } = route.permission;
    let by_path = route.path.contains("{job}") || route.path.contains("{token}");
    let list = !by_path && verb == Verb::View;
    let need_of = |own| need(verb, kind, own);
    // Of a list, one's own part is enough.
    let needs = need_of(own && by_path || list);
    if needs == Requirement::Nothing {
        return Comes::Through;
    }
    if credential != Credential::Valid {
        return Comes::Unauthenticated;
    }
    let (role, place) = match (holds, needs) {
        (Holds::Machine(kind), Requirement::Credential(needed)) if kind == needed => return Comes::Through,
        (Holds::Machine(_), _)
        | (_, Requirement::Credential(_) | Requirement::Joining | Requirement::Never) => {
            return Comes::Denied;
        }
        (_, Requirement::User | Requirement::Nothing) => return Comes::Through,
        (Holds::Role(role, _), Requirement::SomewhereRole(least)) => {
            return if role >= least { Comes::Through } else { Comes::Denied };
        }
        (Holds::Role(role, place), Requirement::Role(_)) => (role, place),
    };
    let Requirement::Role(least) = needs else { unreachable!() };
    let of_a_namespace = matches!(kind, ObjectKind::Job | ObjectKind::Log | ObjectKind::Event);
    let here = if of_a_namespace { place != ELSEWHERE } else { place == EVERYWHERE };
    if (here && role >= least) || (list && of_a_namespace && role >= least) {
        return Comes::Through;
    }
    // Who could do it to something of their own is told that this is not there, unless they may see it.
    let could = match need_of(true) {
        Requirement::Role(least) => role >= least && (of_a_namespace || here),
        needs => needs == Requirement::User,
    };
    let sees = of_a_namespace && here;
    if by_path && could && !sees { Comes::Hidden } else { Comes::Denied }
}

/// Facts that hold whatever the routes declare.
fn hand_written(
    route: &Declared,
    holds: Holds,
    credential: Credential,
    own: bool,
    comes: Comes,
    said: &str,
) -> Result<(), &'static str> {
    let through = comes == Comes::Through;
    let open = matches!(route.path.as_str(), "/healthz" | "/readyz" | "/leaderz");
    let session = [taskyard_wire::SESSION_PATH, crate::outward::PEER_PATH].contains(&route.path.as_str());
    let joins = route.permission == Permission { verb: Verb::Create, kind: ObjectKind::Server };
    let own_token = own && route.path.contains("{token}");
    let is = |condition: bool, fact: &'static str| if condition { Ok(()) } else { Err(fact) };
    is(open == through || !open, "whether the process is well is for everybody")?;
    is(
        open || credential == Credential::Valid || comes == Comes::Unauthenticated,
        "nothing without a good credential",
    )?;
    let viewer = matches!(holds, Holds::Role(Role::Viewer, _));
    is(!viewer || !through || open || route.method == Method::GET || own_token, "a viewer changes nothing")?;
    let elsewhere = matches!(holds, Holds::Role(_, ELSEWHERE));
    is(
        !elsewhere || !through || !route.path.contains("{job}"),
        "a role elsewhere does nothing to a job here",
    )?;
    is(!elsewhere || !said.contains(CANARY), "a role elsewhere sees nothing of what is here")?;
    is(through || !said.contains(CANARY), "a refusal tells nothing about the job")?;
    let server = holds == Holds::Machine(CredentialKind::Server);
    is(
        !matches!(holds, Holds::Machine(_)) || !through || open || session || joins && server,
        "a machine's token is no user's",
    )?;
    is(
        !matches!(holds, Holds::Role(..)) || !through || !session,
        "a user's token opens no session of an agent",
    )
}

/// All that a call could have changed.
fn fingerprint(state: &State) -> String {
    let jobs = state.jobs_before(None).map(|job| format!("{:?} {:?}", job.head, job.spec.priority));
    let tokens = state.tokens().map(|token| format!("{token:?}"));
    let namespaces = state.namespaces().map(|namespace| format!("{namespace:?}"));
    let queues = state.view().queues.iter().map(|queue| format!("{queue:?}"));
    let pools = state.view().pools.iter().map(|pool| format!("{pool:?}"));
    let shares = state.view().parties.iter().map(|party| format!("{} {}", party.owner, party.weight));
    let accounts = state.view().accounts.iter().map(|account| format!("{} {}", account.name, account.weight));
    let half_life = [state.view().half_life_ms.to_string()].into_iter();
    let shares = shares.chain(accounts).chain(half_life);
    let windows = state.maintenance().map(|window| format!("{window:?}"));
    let shares = shares.chain(windows);
    let nodes = state.nodes().map(|node| {
        format!("{} {} {}", node.head.id, node.head.status.drained().is_some(), node.head.status.is_removed())
    });
    jobs.chain(tokens).chain(namespaces).chain(queues).chain(pools).chain(shares).chain(nodes).collect()
}

#[tokio::test]
async fn every_route_lets_through_whom_it_declares() {
    let world = World::new().await;
    let routes = crate::http::routes().declared().to_vec();
    let documented = serde_json::to_value(crate::openapi()).unwrap();
    let operations: usize =
        documented["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(
        routes.len(),
        operations + 2,
        "every route of the document is declared, and the sessions of agents and servers"
    );
    let (mut cells, mut through) = (0, 0);
    let mut wrong = Vec::new();
    for route in &routes {
        for (holds, texts) in &world.texts {
            for (credential, text) in CREDENTIALS.into_iter().zip(texts) {
                for own in [false, true] {
                    if own && !(route.path.contains("{job}") || route.path.contains("{token}")) {
                        continue;
                    }
                    let before = world.bench.app.consensus.read(fingerprint);
                    let (comes, status, said) = world.ask(route, own, text).await;
                    let should = expected(route, *holds, credential, own);
                    let cell = format!("{} {} own={own} {holds:?} {credential:?}", route.method, route.path);
                    if comes != should {
                        wrong.push(format!("{cell}: {comes:?} ({status} {said}), but should: {should:?}"));
                    }
                    if let Err(fact) = hand_written(route, *holds, credential, own, comes, &said) {
                        wrong.push(format!("{cell}: {fact} ({status} {said})"));
                    }
                    if comes != Comes::Through && world.bench.app.consensus.read(fingerprint) != before {
                        wrong.push(format!("{cell}: it was refused and changed something"));
                    }
                    cells += 1;
                    through += usize::from(comes == Comes::Through);
                }
            }
        }
    }
    println!("{cells} cells checked, {through} of them let through, over {} routes", routes.len());
    assert!(cells > 2_000 && through > 100 && through < cells / 2, "{cells} cells, {through} through");
    assert!(wrong.is_empty(), "{} of {cells} cells are not as declared:\n{}", wrong.len(), wrong.join("\n"));
    world.bench.stop().await;
}
