//! What operators do to nodes: drain, resume, remove.

use super::{Attribution, change, present};
use crate::app::App;
use crate::auth::Caller;
use crate::config::AuthMode;
use crate::failure::Answer;
use taskyard_api::{ApiError, ErrorCode, Node};
use taskyard_model::validate;
use taskyard_state::Command;

/// Gives a node no more work; what runs there goes on.
pub(crate) async fn drain_node(app: &App, by: &Caller, name: &str, reason: &str) -> Answer<Node> {
    set_draining(app, by, name, Some(reason)).await
}

/// Lets a node take work again. The operator who does this has made sure that there is no second agent of its name.
pub(crate) async fn resume_node(app: &App, by: &Caller, name: &str) -> Answer<Node> {
    set_draining(app, by, name, None).await
}

async fn set_draining(app: &App, by: &Caller, name: &str, drain: Option<&str>) -> Answer<Node> {
    let id = app.consensus.read(|state| state.node_named(name).map(|node| node.head.id));
    let unknown = || ApiError::not_found(format!("node {name}"));
    let node = id.ok_or_else(unknown)?;
    if drain.is_none() {
        app.agents.forget_rival(name);
    }
    let (reason, user) = (drain.unwrap_or_default().to_owned(), by.user().to_owned());
    let command = Command::Drain { node, draining: drain.is_some(), reason, by: user };
    change(&app.consensus, on(by, name), command).await?;
    let shown =
        app.consensus.read(|state| state.view().node(node).map(|view| present::node(app, state, view)));
    shown.ok_or_else(unknown)
}

/// Shuts a node out; what is left of it until its lease ends.
pub(crate) async fn remove_node(app: &App, by: &Caller, name: &str, force: bool) -> Answer<Option<Node>> {
    validate::name("node", name)?;
    if app.secured.is_none() {
        let message =
            "without TLS an agent cannot prove its identity, so a node cannot be removed permanently by name";
        let remedy = match app.config.auth {
            AuthMode::Token => "revoke the token that it uses: `taskyard token revoke ID`".to_owned(),
            AuthMode::None => format!("drain it with `taskyard node drain {name}` and stop its agent"),
        };
        return Err(ApiError::new(ErrorCode::Conflict, message).remedy(remedy));
    }
    change(&app.consensus, on(by, name), Command::RemoveNode { name: name.to_owned(), force }).await?;
    Ok(app.consensus.read(|state| {
        let id = state.node_named(name)?.head.id;
        let view = state.view().node(id).filter(|_| !state.is_gone(id))?;
        Some(present::node(app, state, view))
    }))
}

fn on<'a>(by: &'a Caller, name: &str) -> Attribution<'a> {
    Attribution::everywhere(by, format!("node {name}"))
}
