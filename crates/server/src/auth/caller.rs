//! From a request to a [`Caller`]: first who it is from, by one look at the state and before anything of it is read;
//! then, at its route, whether they may. An object that is named in the path is looked up here, so that no handler can
//! forget to ask.

use super::rules::{Denied, Object, ObjectKind, Requirement, Verb, allows, allows_somewhere, need};
use super::{AuditEntry, CallOutcome, Gatekeeper, Identity, Visible, Who, token};
use crate::config::AuthMode;
use crate::failure::{ErrorResponse, internal, no_job, not_ready};
use crate::secure::{Peer, ShownCertificate};
use axum::RequestExt;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use taskyard_api::{ApiError, ErrorCode, routes};
use taskyard_model::{CredentialKind, EVERYWHERE, JobId, access};
use tokio::time::sleep;

/// The owner of a job without a user name, where the server requires no credential.
const UNNAMED_USER: &str = "unknown";
/// How often a session looks whether what opened it is still good.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a route does, to which kind of object. Declared where the route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) verb: Verb,
    pub(crate) kind: ObjectKind,
}

/// What [`identify`] found out.
#[derive(Clone)]
struct Identified {
    gatekeeper: Gatekeeper,
    who: Result<Arc<Identity>, ApiError>,
}

/// Somebody who may do what the route does, to the object of its path. Where the object is known only from the body,
/// [`Caller::may_in`] asks about that; lists are filtered by [`Caller::visible`].
#[derive(Clone)]
pub(crate) struct Caller {
    gatekeeper: Gatekeeper,
    who: Arc<Identity>,
    permission: Permission,
}

impl Caller {
    pub(crate) fn identity(&self) -> &Identity {
        &self.who
    }

    /// In whose name.
    pub(crate) fn user(&self) -> &str {
        &self.who.user
    }

    /// The name in the certificate by which they are known, if it was one.
    pub(crate) fn certificate(&self) -> Option<&str> {
        let by_certificate = self.who.token.is_none() && matches!(self.who.who, Who::Holder(_));
        by_certificate.then_some(self.who.user.as_str())
    }

    /// Whether they may do what the route does in this namespace.
    pub(crate) fn may_in(&self, namespace: &str) -> Result<(), ApiError> {
        let object = Object::new(self.permission.kind, "");
        allows(&self.who, self.permission.verb, namespace, &object).map_err(|denied| self.denied(denied))
    }

    /// Whether they may do what the route does everywhere, to what is not their own.
    pub(crate) fn may_all(&self) -> bool {
        let object = Object::new(self.permission.kind, "");
        allows(&self.who, self.permission.verb, EVERYWHERE, &object).is_ok()
    }

    /// Whether they control the work of others in this namespace.
    pub(crate) fn controls(&self, namespace: &str) -> bool {
        allows(&self.who, Verb::Update, namespace, &Object::new(ObjectKind::Job, "")).is_ok()
    }

    /// Whether they say who may charge which account.
    pub(crate) fn may_grant_accounts(&self) -> bool {
        allows(&self.who, Verb::Set, EVERYWHERE, &Object::new(ObjectKind::Share, "")).is_ok()
    }

    /// What they may see.
    pub(crate) fn visible(&self) -> Visible {
        Visible { who: Arc::clone(&self.who), only: None }
    }

    /// Writes a line of the audit about what the route does.
    pub(crate) fn audit(
        &self,
        object: &str,
        namespace: &str,
        end: (CallOutcome, Option<u64>),
        why: Option<String>,
    ) {
        self.gatekeeper.audit().write(&AuditEntry {
            user: &self.who.user,
            credential: &self.who.credential(),
            verb: self.permission.verb.name(),
            object,
            namespace,
            outcome: end.0,
            index: end.1,
            why,
        });
    }

    /// Whether what opened this request would still open it.
    pub(crate) fn is_still_good(&self) -> bool {
        match (&self.who.token, self.who.until) {
            (Some(id), _) => self.gatekeeper.consensus.read(|state| token::is_good(state, id)),
            (None, until) => until.is_none_or(|until| SystemTime::now() < until) && !self.is_removed(),
        }
    }

    /// Whether they are an agent whose node was removed since it joined.
    pub(crate) fn is_removed(&self) -> bool {
        self.gatekeeper.consensus.read(|state| self.who.is_removed(state))
    }

    /// Comes back when it would not.
    pub(crate) async fn until_no_longer_good(&self) {
        if self.who.token.is_none() && self.who.until.is_none() {
            return std::future::pending().await;
        }
        while self.is_still_good() {
            sleep(LOOK_EVERY).await;
        }
    }

    fn denied(&self, denied: Denied) -> ApiError {
        let (object, namespace) = (denied.object.to_string(), denied.namespace.clone());
        self.audit(&object, &namespace, (CallOutcome::Denied, None), None);
        denied.into()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| internal(&"a route without a permission").into())
    }
}

/// Finds out who asks, for whatever comes after it.
pub(crate) async fn identify(
    State(gatekeeper): State<Gatekeeper>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer(&request);
    let who = who(&gatekeeper, request.headers(), peer.as_ref()).map(Arc::new);
    request.extensions_mut().insert(Identified { gatekeeper, who });
    next.run(request).await
}

/// Whether a request is known to come from a stranger. Another server may know a token that is unknown here.
pub(crate) fn is_stranger(request: &Request) -> bool {
    let asked = request.extensions().get::<Identified>();
    asked.is_none_or(|asked| asked.who.as_ref().is_err_and(|error| error.code == ErrorCode::Unauthenticated))
}

/// Whose certificate a request comes with. A server that passes one on shows its own, which proves nothing of the user;
/// it says whose it saw.
pub(crate) fn peer(request: &Request) -> Option<Peer> {
    let ConnectInfo(ShownCertificate(shown)) = request.extensions().get::<ConnectInfo<ShownCertificate>>()?;
    if !request.headers().contains_key(routes::FORWARDED_HEADER) {
        return shown.clone().filter(|peer| !peer.is_over());
    }
    shown.as_ref().filter(|peer| peer.kind == CredentialKind::Server && !peer.is_over())?;
    let header = |name| request.headers().get(name)?.to_str().ok();
    let joined = header(routes::PEER_JOINED_HEADER).and_then(|number| number.parse().ok());
    Peer::read(header(routes::PEER_HEADER)?, joined.unwrap_or(0))
}

/// Lets those through who may do what the route does.
pub(crate) async fn authorise(permission: Permission, mut request: Request, next: Next) -> Response {
    let Some(asked) = request.extensions_mut().remove::<Identified>() else {
        return ErrorResponse(internal(&"the request was not authenticated")).into_response();
    };
    if need(permission.verb, permission.kind, false) == Requirement::Nothing {
        return next.run(request).await;
    }
    let who = match asked.who {
        Ok(who) => who,
        Err(error) => return refused(&asked.gatekeeper, permission, error),
    };
    let caller = Caller { gatekeeper: asked.gatekeeper, who, permission };
    if let Err(error) = caller.check_path(&mut request).await {
        return ErrorResponse(error).into_response();
    }
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    if caller.who.token.is_none() {
        return response;
    }
    // A wait may have outlived the token. What changed something is answered all the same: it has happened.
    if permission.verb == Verb::View && !caller.is_still_good() {
        return ErrorResponse(bad()).into_response();
    }
    while_good(caller, response)
}

/// Somebody who could not say who they are.
fn refused(gatekeeper: &Gatekeeper, permission: Permission, error: ApiError) -> Response {
    if error.code == ErrorCode::Unauthenticated {
        let object = Object::new(permission.kind, "").to_string();
        gatekeeper.audit().write(&AuditEntry {
            user: "",
            credential: "none",
            verb: permission.verb.name(),
            object: &object,
            namespace: "",
            outcome: CallOutcome::Unauthenticated,
            index: None,
            why: Some(error.message.clone()),
        });
    }
    ErrorResponse(error).into_response()
}

/// An answer that goes on for long ends, as one that breaks off, when the token does.
fn while_good(caller: Caller, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if body.size_hint().exact().is_some() {
        return Response::from_parts(parts, body);
    }
    let pieces = body.into_data_stream().map(move |piece| match caller.is_still_good() {
        true => piece,
        false => Err(axum::Error::new(io::Error::other("the credential is no longer valid"))),
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

fn who(gatekeeper: &Gatekeeper, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Identity, ApiError> {
    if gatekeeper.mode == AuthMode::None {
        return local_user(headers).map(Identity::local);
    }
    let identity = match (bearer(headers)?, peer) {
        (Some(text), _) => of_token(gatekeeper, text)?,
        (None, Some(peer)) => Identity::of_peer(peer),
        (None, None) => {
            let message = "this server requires a token, and the request had none";
            return Err(unauthenticated(message, "log in with `taskyard login`, or set TASKYARD_TOKEN"));
        }
    };
    // A machine that proved to be an agent does not become a user by what it got hold of.
    match peer {
        Some(Peer { kind: CredentialKind::Agent, .. })
            if identity.who != Who::Holder(CredentialKind::Agent) =>
        {
            Err(bad())
        }
        _ => Ok(identity),
    }
}

fn of_token(gatekeeper: &Gatekeeper, text: &str) -> Result<Identity, ApiError> {
    match gatekeeper.consensus.read(|state| token::verify(state, text)) {
        // With TLS machines prove themselves by certificates: a token would not say which machine it is.
        token::TokenVerdict::Good(Identity {
            who: Who::Holder(CredentialKind::Agent | CredentialKind::Server),
            ..
        }) if gatekeeper.tls => Err(unauthenticated(
            "with TLS, agents and servers need a certificate",
            "join with a token made by `taskyard token create --join`",
        )),
        token::TokenVerdict::Good(identity) => Ok(identity),
        // What was acknowledged elsewhere, or before this start, may not be here yet.
        _ if gatekeeper.consensus.leadership().borrow().is_none() => Err(not_ready()),
        token::TokenVerdict::Expired => {
            Err(unauthenticated("this token has expired", "ask an administrator for a new one"))
        }
        token::TokenVerdict::Bad => Err(bad()),
    }
}

fn bad() -> ApiError {
    let message = "invalid token";
    unauthenticated(message, "log in with `taskyard login`, or ask an administrator for a new one")
}

fn unauthenticated(message: &str, remedy: &str) -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, message).remedy(remedy)
}

/// The text after `Bearer`, if there is such a header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let words = value.to_str().ok().filter(|_| all.next().is_none()).and_then(|text| text.split_once(' '));
    match words {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(text.trim())),
        _ => Err(unauthenticated(
            "the authorization header must have the form: Bearer TOKEN",
            "send one such header",
        )),
    }
}

/// Who the client says it is.
fn local_user(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get(routes::USER_HEADER) else { return Ok(UNNAMED_USER.to_owned()) };
    let name = String::from_utf8_lossy(value.as_bytes());
    access::check_user(routes::USER_HEADER, &name)?;
    Ok(name.into_owned())
}

impl Caller {
    /// Asks the rules about what the path names.
    async fn check_path(&self, request: &mut Request) -> Result<(), ApiError> {
        let Permission { verb, kind } = self.permission;
        // A route without parts has none to read.
        let params = request.extract_parts::<RawPathParams>().await.ok();
        let part = |name: &str| {
            let found = params.as_ref()?.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value)
        };
        if let Some(name) = ["node", "queue", "namespace", "server"].into_iter().find_map(part) {
            let object = Object::new(kind, name);
            return allows(&self.who, verb, EVERYWHERE, &object).map_err(|denied| self.denied(denied));
        }
        // Who can do nothing of the kind hears nothing about any object.
        allows_somewhere(&self.who, verb, kind).map_err(|denied| self.denied(denied))?;
        match (part("job").and_then(|text| text.parse().ok()), part("token")) {
            (Some(id), _) => self.check_job(JobId(id)),
            (None, Some(id)) => self.check_token(id),
            (None, None) => Ok(()),
        }
    }

    /// A job that one may not see is not there.
    fn check_job(&self, id: JobId) -> Result<(), ApiError> {
        if self.who.who == Who::Local {
            return Ok(());
        }
        let Permission { verb, kind } = self.permission;
        let found = self.gatekeeper.consensus.read(|state| {
            let job = state.job(id)?;
            let own = job.head.owner == self.who.user;
            Some((job.spec.namespace.to_string(), Object { own, ..Object::new(kind, id.to_string()) }))
        });
        let missing = || self.gatekeeper.consensus.read(|state| no_job(state, id));
        let Some((namespace, object)) = found else { return Err(missing()) };
        let Err(denied) = allows(&self.who, verb, &namespace, &object) else { return Ok(()) };
        let error = self.denied(denied);
        let sees = allows(&self.who, Verb::View, &namespace, &Object::new(ObjectKind::Job, "")).is_ok();
        Err(if sees { error } else { missing() })
    }

    /// So is another's token, for those who may not see all.
    fn check_token(&self, id: &str) -> Result<(), ApiError> {
        let Permission { verb, kind } = self.permission;
        let owner = self.gatekeeper.consensus.read(|state| state.token(id).map(|token| token.user.clone()));
        let own = self.who.who == Who::Local || owner.as_deref() == Some(self.who.user.as_str());
        let object = Object { own: own && owner.is_some(), ..Object::new(kind, id) };
        match allows(&self.who, verb, EVERYWHERE, &object) {
            Ok(()) if owner.is_some() => Ok(()),
            Ok(()) => Err(ApiError::not_found(format!("token {id}"))),
            Err(denied) => {
                drop(self.denied(denied));
                Err(ApiError::not_found(format!("token {id}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn users_where_no_credential_is_asked() {
        let check = |value: Option<&'static [u8]>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(routes::USER_HEADER, HeaderValue::from_bytes(value).unwrap());
            }
            local_user(&headers).map_err(|e| e.field.unwrap_or_default())
        };
        assert_eq!(check(None).unwrap(), UNNAMED_USER);
        assert_eq!(check(Some(b"Ada.L")).unwrap(), "Ada.L");
        for bad in [&b""[..], b"a b", b"\xff", &[b'x'; 129]] {
            assert_eq!(check(Some(bad)).unwrap_err(), routes::USER_HEADER, "{bad:?}");
        }
    }

    #[test]
    fn one_bearer() {
        let check = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(|text| text.map(str::to_owned)).map_err(|e| e.code)
        };
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["bearer  tyt_a"]), Ok(Some("tyt_a".into())));
        for bad in [&["Basic YTpi"][..], &["tyt_a"], &["Bearer a", "Bearer b"]] {
            assert_eq!(check(bad), Err(ErrorCode::Unauthenticated), "{bad:?}");
        }
    }
}
