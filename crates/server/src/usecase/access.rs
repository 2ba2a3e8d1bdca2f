//! Namespaces and tokens.

use super::{Attribution, change};
use crate::app::App;
use crate::auth::{Caller, DrawnToken, Identity, Visible, draw, show_token};
use crate::failure::{Answer, internal};
use taskyard_api::{ApiError, CreateToken, CreatedToken, Namespace, Secret, Token, Whoami};
use taskyard_consensus::Consensus;
use taskyard_model::{CredentialKind, Invalid};
use taskyard_state::{Command, NamespaceHead, NewToken};
use taskyard_tls::JoinToken;

/// Namespaces whose jobs one may see.
pub(crate) fn namespaces(consensus: &Consensus, visible: &Visible) -> Answer<Vec<Namespace>> {
    Ok(consensus.read(|state| {
        state.namespaces().filter(|head| visible.sees(&head.name)).map(show_namespace).collect()
    }))
}

/// Makes a namespace.
pub(crate) async fn create_namespace(consensus: &Consensus, by: &Caller, name: &str) -> Answer<Namespace> {
    let on = Attribution::everywhere(by, format!("namespace {name}"));
    change(consensus, on, Command::CreateNamespace { name: name.to_owned() }).await?;
    let made = consensus.read(|state| state.namespaces().find(|head| head.name == name).map(show_namespace));
    made.ok_or_else(|| internal(&"a namespace that was made is not there"))
}

fn show_namespace(head: &NamespaceHead) -> Namespace {
    Namespace {
        name: head.name.clone(),
        created_at_ms: (head.created_wall_ms > 0).then_some(head.created_wall_ms),
    }
}

/// Tokens: all of them, or those in the caller's name.
pub(crate) fn tokens(consensus: &Consensus, by: &Caller) -> Answer<Vec<Token>> {
    let all = by.may_all();
    Ok(consensus.read(|state| {
        let shown = state.tokens().filter(|token| all || token.user == by.user());
        shown.map(|token| show_token(state, token)).collect()
    }))
}

/// Makes a token. Its text is in the answer and nowhere else.
pub(crate) async fn create_token(app: &App, by: &Caller, request: CreateToken) -> Answer<CreatedToken> {
    let wish = request.check()?;
    if app.secured.is_some() && wish.kind != CredentialKind::User && !wish.join {
        let remedy = "with TLS, agents and servers join and get a certificate: set join to true (--join)";
        return Err(Invalid::new("join", "false", remedy).into());
    }
    let secured = app.secured.as_ref().filter(|_| wish.join);
    if wish.join && secured.is_none() {
        let remedy =
            "this cluster does not use TLS: set it up with `taskyard cluster init`, or leave join out";
        return Err(Invalid::new("join", "", remedy).into());
    }
    let DrawnToken { id, hash, text } = draw().map_err(|error| internal(&error))?;
    let command = Command::CreateToken(Box::new(NewToken {
        id: id.clone(),
        hash,
        user: request.user,
        label: request.label.unwrap_or_default(),
        kind: wish.kind,
        grants: wish.grants,
        life_ms: wish.life_ms,
        created_by: by.user().to_owned(),
        only_first: false,
        join: wish.join,
        uses: wish.uses,
    }));
    let on = Attribution::everywhere(by, format!("token {id}"));
    change(&app.consensus, on, command).await?;
    let text = match secured {
        Some(secured) => {
            let authority = secured.home.fingerprint().map_err(|error| internal(&error))?;
            Secret::read("token", &JoinToken::write(&text, &authority)).map_err(|error| internal(&error))?
        }
        None => text,
    };
    Ok(CreatedToken { token: one_token(&app.consensus, &id)?, secret: text })
}

/// Makes a token worthless.
pub(crate) async fn revoke_token(consensus: &Consensus, by: &Caller, id: &str) -> Answer<Token> {
    let on = Attribution::everywhere(by, format!("token {id}"));
    change(consensus, on, Command::RevokeToken { id: id.to_owned() }).await?;
    one_token(consensus, id)
}

fn one_token(consensus: &Consensus, id: &str) -> Answer<Token> {
    let shown = consensus.read(|state| state.token(id).map(|token| show_token(state, token)));
    shown.ok_or_else(|| ApiError::not_found(format!("token {id}")))
}

/// Who asks.
pub(crate) fn whoami(consensus: &Consensus, who: &Identity) -> Whoami {
    Whoami {
        user: who.user.clone(),
        kind: who.kind().to_owned(),
        token: who.token.as_deref().and_then(|id| one_token(consensus, id).ok()),
        grants: who.grants.iter().map(Into::into).collect(),
    }
}
