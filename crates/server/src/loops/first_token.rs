//! Puts the administrator's first token into the log.

use crate::app::App;
use crate::auth::{AuditEntry, CallOutcome, ParsedToken, first};
use crate::config::AuthMode;
use std::time::Duration;
use taskyard_model::{CredentialKind, EVERYWHERE, Grant, Role};
use taskyard_state::{Command, NewToken, Rejection, Reply};

/// Between two tries to get it into the log.
const REST: Duration = Duration::from_millis(200);

/// Makes the first token, or another one if the server was told to. Ends when there is one.
pub(crate) async fn first_token(app: App) {
    if app.config.auth != AuthMode::Token {
        return;
    }
    let path = first::path(&app.config);
    let only_first = !app.config.new_admin_token;
    let mut leadership = app.consensus.leadership();
    loop {
        let _ = leadership.wait_for(Option::is_some).await;
        if only_first && app.consensus.read(|state| state.tokens_made()) > 0 {
            return;
        }
        let parsed = match first::token_of(&path, only_first) {
            Ok(parsed) => parsed,
            Err(error) => return tracing::error!(%error, "no token for the administrator was made"),
        };
        match propose(&app, parsed, only_first).await {
            Some(true) => {
                return tracing::info!(file = %path.display(), "a token for the administrator is in this file");
            }
            Some(false) => return,
            None => tokio::time::sleep(REST).await,
        }
    }
}

/// Whether it stands now; `None` where that is to be retried.
async fn propose(app: &App, parsed: ParsedToken, only_first: bool) -> Option<bool> {
    let new = NewToken {
        id: parsed.id.clone(),
        hash: parsed.hash,
        user: "admin".into(),
        label: "made at the start of a server".into(),
        kind: CredentialKind::User,
        grants: vec![Grant { namespace: EVERYWHERE.into(), role: Role::Admin }],
        life_ms: None,
        created_by: String::new(),
        only_first,
        join: false,
        uses: 0,
    };
    let committed = match app.consensus.propose(Command::CreateToken(Box::new(new))).await {
        Ok(committed) => committed,
        Err(error) => {
            tracing::debug!(%error, "the administrator's token is not in the log yet");
            return None;
        }
    };
    let stands = match committed.reply {
        // Said twice is said once: an answer that was lost.
        Reply::Done | Reply::Rejected(Rejection::TokenExists(_)) => true,
        _ => false,
    };
    app.gatekeeper.audit().write(&AuditEntry {
        user: "",
        credential: "none",
        verb: "create",
        object: &format!("token {}", parsed.id),
        namespace: EVERYWHERE,
        outcome: if stands { CallOutcome::Done } else { CallOutcome::Rejected },
        index: Some(committed.index),
        why: Some(
            match only_first {
                true => "the first token of the administrator",
                false => "another token of the administrator, as --new-admin-token asks",
            }
            .into(),
        ),
    });
    Some(stands)
}
