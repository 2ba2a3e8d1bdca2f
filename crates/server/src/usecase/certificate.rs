//! Certificates for agents and servers, and nodes whose certificates are good no more.

use super::{Attribution, change};
use crate::app::App;
use crate::auth::{CallOutcome, Caller, Identity, Who};
use crate::failure::{Answer, internal, refusal};
use minicbor::bytes::ByteArray;
use taskyard_api::{ApiError, Certificate, CertificateRequest, ErrorCode};
use taskyard_model::{CredentialKind, EVERYWHERE, Invalid};
use taskyard_state::{Command, Reply, State};
use taskyard_tls::{Authority, Subject, TlsDir, TlsError};

/// Signs a key: for whom a token says, once; or for the agent whose certificate the connection shows, again and again.
pub(crate) async fn create_certificate(
    app: &App,
    by: &Caller,
    request: CertificateRequest,
) -> Answer<Certificate> {
    let Some(secured) = &app.secured else {
        let error = ApiError::new(ErrorCode::Conflict, "this cluster has no certificates");
        return Err(error.remedy("set TLS up with `taskyard cluster init`"));
    };
    let subject = subject(by.identity(), &request)?;
    // Tried first: a request that cannot be signed must not cost the token.
    sign(&secured.home, &request, &subject, 0)?;
    let object = format!("certificate {} {}", subject.kind.name(), subject.name);
    let joined = match &by.identity().token {
        Some(id) => {
            let key = use_of(&subject, &request.request)?;
            // A join that cannot succeed must not cost a use of the token.
            app.consensus.read(|state| refuse_taken(state, id, &key, &subject))?;
            let on = Attribution::everywhere(by, object);
            match change(&app.consensus, on, Command::UseToken { id: id.clone(), key }).await? {
                Reply::Used { at } => at,
                other => return Err(refusal::odd_reply(&other)),
            }
        }
        None => renewed(by, &object)?,
    };
    let (certificate, authority) = sign(&secured.home, &request, &subject, joined)?;
    let authority_key = match subject.kind {
        CredentialKind::Server => Some(secured.home.authority_key().map_err(|error| internal(&error))?),
        _ => None,
    };
    Ok(Certificate { certificate, authority, authority_key })
}

/// Two machines cannot be one node: the second would get its certificate, and be refused for good with its first
/// session.
fn refuse_taken(state: &State, token: &str, key: &ByteArray<32>, subject: &Subject) -> Answer<()> {
    let asked_before = state.token(token).is_some_and(|token| token.was_used_by(key));
    let node =
        state.node_named(&subject.name).filter(|_| subject.kind == CredentialKind::Agent && !asked_before);
    if node.is_none_or(|node| !node.head.status.is_alive() || node.head.status.is_removed()) {
        return Ok(());
    }
    let message = format!("a node {} is up already; the token was not used", subject.name);
    let remedy = "give this machine another name with --name; if it is the same machine with an empty data directory, wait until the lease of its old agent has ended";
    Err(ApiError::new(ErrorCode::Conflict, message).remedy(remedy))
}

/// The entry by which an agent joined that renews its certificate. It stays the same: a node that was removed since is
/// not let in by renewing.
fn renewed(by: &Caller, object: &str) -> Answer<u64> {
    if by.is_removed() {
        let why = refusal::removed(by.user());
        by.audit(object, EVERYWHERE, (CallOutcome::Denied, None), Some(why.clone()));
        return Err(ApiError::new(ErrorCode::Denied, why));
    }
    by.audit(object, EVERYWHERE, (CallOutcome::Done, None), None);
    Ok(by.identity().joined)
}

/// What a token is used up for: this key, under this name. A lost answer can be asked for again, and nothing else.
fn use_of(subject: &Subject, request: &str) -> Answer<ByteArray<32>> {
    let key = Authority::key_of(request).map_err(|error| internal(&error))?;
    let mut hash = blake3::Hasher::new();
    // Names have no NUL.
    for part in [subject.kind.name().as_bytes(), b"\0", subject.name.as_bytes(), b"\0", &key] {
        hash.update(part);
    }
    Ok(ByteArray::from(*hash.finalize().as_bytes()))
}

/// The certificate, and that of the authority.
fn sign(
    home: &TlsDir,
    request: &CertificateRequest,
    subject: &Subject,
    joined: u64,
) -> Answer<(String, String)> {
    let authority = home.authority().map_err(|error| internal(&error))?;
    let signed = authority.sign(&request.request, subject, joined, &[]).map_err(|error| match error {
        TlsError::Invalid { .. } => Invalid::new("request", "(not shown)", error.to_string()).into(),
        other => internal(&other),
    })?;
    Ok((signed, authority.certificate().to_owned()))
}

fn subject(who: &Identity, request: &CertificateRequest) -> Answer<Subject> {
    let CertificateRequest { kind, name, .. } = request;
    let wanted = CredentialKind::parse("kind", kind)?;
    let denied = match who.who {
        Who::Joining(kind) if kind != wanted => format!("this token is for an {}", kind.name()),
        Who::Joining(_) => return Ok(Subject { kind: wanted, name: name.clone() }),
        // A certificate is renewed for its own name alone.
        Who::Holder(kind) if kind == wanted && who.user == *name => {
            return Ok(Subject { kind, name: name.clone() });
        }
        Who::Holder(_) | Who::Local => format!("this certificate is not that of {name}"),
    };
    Err(ApiError::new(ErrorCode::Denied, denied).remedy("join with a token that is made for it"))
}
