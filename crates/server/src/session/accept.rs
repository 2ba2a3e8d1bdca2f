//! How a session begins: upgrade, hello, registration.

use super::{standby, talk};
use crate::agents::lost_after_ms;
use crate::app::App;
use crate::auth::{CallOutcome, Caller};
use crate::failure::refusal::removed;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use taskyard_consensus::{Leader, ProposeError};
use taskyard_model::quantity::show_duration;
use taskyard_model::{EVERYWHERE, Incarnation, NodeId, validate};
use taskyard_state::{Command, Register, Rejection, Reply};
use taskyard_wire::{Codec, Hello, PROTOCOL, Refused, ToAgent, ToServer};
use tokio_util::codec::Framed;

/// A connection with an agent.
pub(super) type Line = TokioIo<hyper::upgrade::Upgraded>;
/// The same before there is a session.
pub(super) type Call = Framed<Line, Codec<ToServer, ToAgent>>;

/// A caller that says nothing for this time is dropped.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Room for messages before there is a session: thousands of agents stand by.
const CALL_BYTES: usize = 256;
/// How long an agent waits with a server that was elected and has not proved it yet.
const PROOF_WITHIN: Duration = Duration::from_secs(2);
/// An agent whose older life has not ended asks again after this time.
const ASK_AGAIN_ALIVE_MS: u64 = 2_000;
/// A server that does not lead is asked again after this time, if it cannot say who does.
pub(super) const ASK_AGAIN_MS: u64 = 200;

/// `POST /v1/agent/session`: the agent's one connection.
pub(crate) async fn accept(State(app): State<App>, by: Caller, mut request: Request) -> Response {
    if !asks_for_upgrade(request.headers()) {
        let remedy = format!("this path is for agents: it needs Connection: Upgrade and Upgrade: {PROTOCOL}");
        return (StatusCode::UPGRADE_REQUIRED, remedy).into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stopping = app.stopping();
        let session = async {
            match upgrade.await {
                Ok(upgraded) => meet(app, &by, TokioIo::new(upgraded)).await,
                Err(error) => tracing::debug!(%error, "an agent's connection was not upgraded"),
            }
        };
        tokio::select! {
            () = session => {}
            _ = stopping.wait_for(|s| *s) => {}
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

async fn meet(app: App, by: &Caller, line: Line) {
    let mut call = Call::with_capacity(line, Codec::default(), CALL_BYTES);
    let asks = match greet(&app, by, &mut call).await {
        Ok(Some(asks)) => asks,
        Ok(None) => return,
        Err(refused) => return say(&mut call, refused).await,
    };
    tokio::select! {
        // First: a credential that is no longer good must not get as far as a session.
        biased;
        () = by.until_no_longer_good() => tracing::info!("an agent's credential is no longer valid; its session ends"),
        // Boxed: what a session needs would otherwise be set aside for every connection that stands by.
        () = Box::pin(serve(app, by, call, asks)) => {}
    }
}

/// Lasts until the agent asks for a session, which may be long after it came to stand by. Whose node is or was removed
/// hears so before the connection ends: an agent that only saw it end would call again, and stand by without being
/// told.
async fn greet(app: &App, by: &Caller, call: &mut Call) -> Result<Option<Hello>, Refused> {
    let hello = match tokio::time::timeout(HELLO_WITHIN, call.next()).await {
        Ok(Some(Ok(ToServer::Hello(hello)))) => hello,
        Ok(Some(Err(error))) => {
            tracing::debug!(%error, "an agent's first message cannot be read");
            return Ok(None);
        }
        _ => return Ok(None),
    };
    is_its_own(by, &hello)?;
    if !hello.standby {
        return Ok(Some(hello));
    }
    let asks = tokio::select! {
        asks = standby::stand_by(app, call) => asks,
        () = by.until_no_longer_good() => None,
    };
    is_its_own(by, asks.as_ref().unwrap_or(&hello))?;
    Ok(asks)
}

/// A session, if the agent may have one.
async fn serve(app: App, by: &Caller, mut call: Call, hello: Hello) {
    match admit(&app, by, &hello).await {
        Ok(admitted) => {
            by.audit(&format!("node {}", hello.node), EVERYWHERE, (CallOutcome::Done, None), None);
            talk::talk(app, call.into_inner(), hello, admitted).await;
        }
        Err(refused) => {
            match &refused.leader {
                Some(leader) => tracing::debug!(node = hello.node, leader, "agent sent to the leader"),
                None => tracing::info!(node = hello.node, reason = refused.message, "agent refused"),
            }
            say(&mut call, refused).await;
        }
    }
}

/// The last message of a connection.
async fn say(call: &mut Call, refused: Refused) {
    let refused = ToAgent::Refused(refused);
    let _ = tokio::time::timeout(standby::SEND_WITHIN, SinkExt::<&ToAgent>::send(call, &refused)).await;
}

/// A caller with a certificate speaks for the node it names, unless that was removed since.
fn is_its_own(by: &Caller, hello: &Hello) -> Result<(), Refused> {
    let Some(name) = by.certificate() else { return Ok(()) };
    let message = match () {
        () if name != hello.node => format!(
            "node: \"{}\": the certificate is that of {name}; join with a new token, or give the agent its name",
            hello.node
        ),
        () if by.is_removed() => removed(name),
        () => return Ok(()),
    };
    tracing::warn!(node = hello.node, certificate = name, message, "an agent is refused");
    by.audit(&format!("node {}", hello.node), EVERYWHERE, (CallOutcome::Denied, None), Some(message.clone()));
    Err(refuse(message, 0))
}

/// A life of an agent that may have a session.
pub(super) struct Admitted {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    /// As it was registered, which may have been under other settings.
    pub(super) lease_ms: u64,
}

fn refuse(message: impl Into<String>, retry_after_ms: u64) -> Refused {
    Refused { lost: false, message: message.into(), retry_after_ms, leader: None }
}

/// The answer of a server that does not lead.
pub(super) fn not_leading(leader: Option<Leader>) -> Refused {
    let leader = leader.map(|leader| leader.url);
    Refused { leader, ..refuse("this server does not lead", ASK_AGAIN_MS) }
}

/// What came of a proposal that was to let an agent in.
fn not_proposed(app: &App, error: &ProposeError) -> Refused {
    const LATER_MS: u64 = 500;
    match error {
        ProposeError::NotLeader { .. } => not_leading(app.other_leader()),
        other => refuse(other.to_string(), LATER_MS),
    }
}

/// Whether this server leads. Others say so of it as soon as it is elected, and send it their agents, a moment before
/// it takes them.
async fn leads(app: &App) -> bool {
    let mut leadership = app.consensus.leadership();
    let elected = app.consensus.leader().filter(|leader| leader.id == app.consensus.me());
    if leadership.borrow().is_some() || elected.is_none() {
        return leadership.borrow().is_some();
    }
    let deposed = app.consensus.until_leader(elected.as_ref(), PROOF_WITHIN);
    tokio::select! {
        proved = leadership.wait_for(Option::is_some) => proved.is_ok(),
        _ = deposed => false,
    }
}

/// Two clusters give the same ids to different jobs, so what an agent has of one must not meet the other.
fn of_another_cluster(theirs: &str, ours: &str) -> String {
    format!(
        "this agent's data directory belongs to cluster \"{theirs}\", and this server is of cluster \"{ours}\", which is another one or was \
         restored from a backup of it; start the agent with a new --data-dir"
    )
}

/// Goes on with the life the agent names, or registers a new one.
async fn admit(app: &App, by: &Caller, hello: &Hello) -> Result<Admitted, Refused> {
    // Every server knows this of itself, so none sends such an agent on to its leader.
    let ours = app.consensus.cluster_id();
    if let Some(theirs) = hello.cluster.as_deref().filter(|theirs| *theirs != ours) {
        return Err(refuse(of_another_cluster(theirs, ours), 0));
    }
    if !leads(app).await {
        return Err(not_leading(app.other_leader()));
    }
    validate::name("node", &hello.node).map_err(|e| refuse(e.to_string(), 0))?;
    hello.capacity.check().map_err(|e| refuse(e.to_string(), 0))?;
    if let Some(incarnation) = hello.incarnation {
        return go_on(app, hello, incarnation).await;
    }
    let lease_ms = app.config.lease_ms;
    let joined = by.certificate().map(|_| by.identity().joined);
    let register = Register {
        name: hello.node.clone(),
        agent_uuid: hello.agent_uuid.clone(),
        boot_id: hello.boot_id.clone(),
        capacity: hello.capacity.clone(),
        labels: hello.labels.clone(),
        isolation: hello.isolation.clone(),
        lease_ms,
        joined,
        replaces: hello.replaces,
        unfit: hello.unfit.clone(),
    };
    let reply = app.consensus.propose_system(Command::Register(Box::new(register))).await;
    match reply.map_err(|e| not_proposed(app, &e))?.reply {
        Reply::Registered { node, incarnation } => Ok(Admitted { node, incarnation, lease_ms }),
        Reply::Rejected(Rejection::NodeRemoved(name)) => Err(refuse(removed(&name), 0)),
        Reply::Rejected(Rejection::NameTaken(name)) => {
            let message = format!(
                "node: \"{name}\": another machine has this name, and its lease has not ended; wait, or choose another with --name"
            );
            Err(refuse(message, 5_000))
        }
        Reply::Rejected(Rejection::StillAlive(name)) => {
            app.agents.called_too(&name, &hello.boot_id);
            Err(refuse(still_alive(&name, lease_ms), ASK_AGAIN_ALIVE_MS))
        }
        other => Err(refuse(format!("not registered: {other:?}"), 5_000)),
    }
}

/// An agent whose data directory was copied, or whose machine was started again, hears this until the lease of the
/// older life has run out.
fn still_alive(name: &str, lease_ms: u64) -> String {
    format!(
        "node: \"{name}\": an agent with this identity is alive, or was until a moment ago. If this data directory is a copy, give this agent \
         its own: start it with a new --data-dir and another --name. If the machine was started again, or the directory moved, wait: the agent \
         is let in {} after the older one was last heard of",
        show_duration(lost_after_ms(lease_ms).next_multiple_of(1_000))
    )
}

/// Goes on with a life that has not ended.
async fn go_on(app: &App, hello: &Hello, incarnation: Incarnation) -> Result<Admitted, Refused> {
    let admitted = app.consensus.read(|state| {
        let node = state.node_named(&hello.node)?;
        let same = node.head.registered.agent_uuid == hello.agent_uuid;
        let here = !state.is_of_another_cluster(incarnation);
        let admitted = Admitted { node: node.head.id, incarnation, lease_ms: node.head.registered.lease_ms };
        (same && here && node.head.status.incarnation() == Some(incarnation)).then_some(admitted)
    });
    let ended = || Refused { lost: true, ..refuse("this agent was declared lost", 0) };
    let admitted = admitted.ok_or_else(ended)?;
    if hello.reports_end() {
        let ending = Command::Ending { node: admitted.node, incarnation };
        let ending = app.consensus.propose_system(ending).await.map_err(|e| not_proposed(app, &e))?;
        if let Reply::Rejected(_) = ending.reply {
            return Err(ended());
        }
    }
    Ok(admitted)
}
