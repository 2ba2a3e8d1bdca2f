//! How a session begins: upgrade, hello, registration.

use super::talk;
use crate::app::App;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use taskyard_consensus::ProposeError;
use taskyard_model::{Incarnation, NodeId, validate};
use taskyard_state::{Command, Register, Rejection, Reply};
use taskyard_wire::{Codec, FrameError, Hello, PROTOCOL, Refused, ToAgent, ToServer};
use tokio_util::codec::Framed;

/// A connection with an agent.
pub(super) type Line = TokioIo<hyper::upgrade::Upgraded>;

/// A caller that says nothing for so long is dropped.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// `POST /v1/agent/session`: the agent's one connection.
pub(crate) async fn accept(State(app): State<App>, mut request: Request) -> Response {
    if !asks_for_upgrade(request.headers()) {
        let remedy = format!("this path is for agents: it needs Connection: Upgrade and Upgrade: {PROTOCOL}");
        return (StatusCode::UPGRADE_REQUIRED, remedy).into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stopping = app.stopping();
        let session = async {
            match upgrade.await {
                Ok(upgraded) => meet(app, TokioIo::new(upgraded)).await,
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

async fn meet(app: App, line: Line) {
    let mut line = Framed::new(line, Codec::<ToServer, ToAgent>::default());
    let hello = match tokio::time::timeout(HELLO_WITHIN, line.next()).await {
        Ok(Some(Ok(ToServer::Hello(hello)))) => hello,
        Ok(Some(Err(error))) => return tracing::debug!(%error, "an agent's first message cannot be read"),
        _ => return,
    };
    match admit(&app, &hello).await {
        Ok((node, incarnation)) => talk::talk(app, line.into_inner(), hello, node, incarnation).await,
        Err(refused) => {
            tracing::info!(node = hello.node, reason = refused.message, "agent refused");
            let _: Result<(), FrameError> = line.send(&ToAgent::Refused(refused)).await;
        }
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
async fn admit(app: &App, hello: &Hello) -> Result<(NodeId, Incarnation), Refused> {
    let refuse = |message: String, retry_after_ms| Refused { lost: false, message, retry_after_ms };
    if app.consensus.leadership().borrow().is_none() {
        return Err(refuse("this server does not lead yet".into(), 200));
    }
    if let Some(theirs) = hello.cluster.as_ref().filter(|theirs| **theirs != app.config.cluster_id) {
        return Err(refuse(of_another_cluster(theirs, &app.config.cluster_id), 0));
    }
    validate::name("node", &hello.node).map_err(|e| refuse(e.to_string(), 0))?;
    hello.capacity.check().map_err(|e| refuse(e.to_string(), 0))?;
    if let Some(incarnation) = hello.incarnation {
        return go_on(app, hello, incarnation).await;
    }
    let register = Register {
        name: hello.node.clone(),
        agent_uuid: hello.agent_uuid.clone(),
        boot_id: hello.boot_id.clone(),
        capacity: hello.capacity.clone(),
        labels: hello.labels.clone(),
        isolation: hello.isolation.clone(),
        lease_ms: app.config.lease_ms,
    };
    let reply = app.consensus.propose_system(Command::Register(Box::new(register))).await;
    match reply.map_err(|e| refuse(e.to_string(), 500))?.reply {
        Reply::Registered { node, incarnation } => Ok((node, incarnation)),
        Reply::Rejected(Rejection::NameTaken(name)) => {
            let message = format!(
                "node: \"{name}\": another machine has this name, and its lease has not ended; wait, or choose another with --name"
            );
            Err(refuse(message, 5_000))
        }
        other => Err(refuse(format!("not registered: {other:?}"), 5_000)),
    }
}

/// Goes on with a life that has not ended.
async fn go_on(app: &App, hello: &Hello, incarnation: Incarnation) -> Result<(NodeId, Incarnation), Refused> {
    let node = app.consensus.read(|state| {
        let node = state.node_named(&hello.node)?;
        let same = node.head.registered.agent_uuid == hello.agent_uuid;
        let here = !state.is_of_another_cluster(incarnation);
        (same && here && node.head.incarnation == Some(incarnation)).then_some(node.head.id)
    });
    let ended =
        || Refused { lost: true, message: "this life of the agent has ended".into(), retry_after_ms: 0 };
    let node = node.ok_or_else(ended)?;
    if hello.ending {
        let ending = app.consensus.propose_system(Command::Ending { node, incarnation }).await;
        let refuse = |e: ProposeError| Refused { lost: false, message: e.to_string(), retry_after_ms: 500 };
        if let Reply::Rejected(_) = ending.map_err(refuse)?.reply {
            return Err(ended());
        }
    }
    Ok((node, incarnation))
}
