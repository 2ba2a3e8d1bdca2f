//! Namespaces, tokens, and who one is.

use super::answer::Reply;
use super::input::{JsonBody, NamespacePath, TokenPath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{
    Certificate, CertificateRequest, CreateToken, CreatedToken, Namespace, Page, Token, Whoami, routes,
};
use taskyard_consensus::Consensus;
use taskyard_model::validate;

/// Show who asks, and what they may do
#[utoipa::path(
    get, path = routes::WHOAMI, operation_id = "whoami", tag = "access",
    responses((status = 200, description = "The caller.", body = Whoami), ErrorResponse),
)]
pub(super) async fn whoami(State(consensus): State<Consensus>, by: Caller) -> Reply<Whoami> {
    Ok(Json(usecase::whoami(&consensus, by.identity())))
}

/// Have the key of an agent or a server signed
///
/// Takes a token that was made for joining, or on the connection of an agent the certificate that is to be renewed.
#[utoipa::path(
    post, path = routes::CERTIFICATES, operation_id = "create_certificate", tag = "access",
    request_body = CertificateRequest,
    responses((status = 200, description = "The certificate.", body = Certificate), ErrorResponse),
)]
pub(super) async fn create_certificate(
    State(app): State<App>,
    by: Caller,
    JsonBody(request): JsonBody<CertificateRequest>,
) -> Reply<Certificate> {
    validate::name("name", &request.name)?;
    Ok(Json(usecase::create_certificate(&app, &by, request).await?))
}

/// List namespaces whose jobs one may see
#[utoipa::path(
    get, path = routes::NAMESPACES, operation_id = "list_namespaces", tag = "access",
    responses((status = 200, description = "The namespaces, by name.", body = Page<Namespace>), ErrorResponse),
)]
pub(super) async fn namespaces(State(consensus): State<Consensus>, by: Caller) -> Reply<Page<Namespace>> {
    Ok(Json(Page { items: usecase::namespaces(&consensus, &by.visible())?, next: None }))
}

/// Make a namespace
///
/// One that is there already is left as it is.
#[utoipa::path(
    put, path = routes::NAMESPACE, operation_id = "create_namespace", tag = "access",
    params(("namespace" = String, Path, description = "The namespace's name.")),
    responses((status = 200, description = "The namespace.", body = Namespace), ErrorResponse),
)]
pub(super) async fn create_namespace(
    State(consensus): State<Consensus>,
    by: Caller,
    NamespacePath(name): NamespacePath,
) -> Reply<Namespace> {
    validate::name("namespace", &name)?;
    Ok(Json(usecase::create_namespace(&consensus, &by, &name).await?))
}

/// List tokens
///
/// An administrator sees all of them, others those in their own name.
#[utoipa::path(
    get, path = routes::TOKENS, operation_id = "list_tokens", tag = "access",
    responses((status = 200, description = "The tokens, by id.", body = Page<Token>), ErrorResponse),
)]
pub(super) async fn tokens(State(consensus): State<Consensus>, by: Caller) -> Reply<Page<Token>> {
    Ok(Json(Page { items: usecase::tokens(&consensus, &by)?, next: None }))
}

/// Make a token
///
/// The answer holds its text. The server keeps a hash of it, so nobody can be told again. A call that is repeated makes another token.
#[utoipa::path(
    post, path = routes::TOKENS, operation_id = "create_token", tag = "access",
    request_body = CreateToken,
    responses((status = 200, description = "The token and its text.", body = CreatedToken), ErrorResponse),
)]
pub(super) async fn create_token(
    State(app): State<App>,
    by: Caller,
    JsonBody(request): JsonBody<CreateToken>,
) -> Reply<CreatedToken> {
    Ok(Json(usecase::create_token(&app, &by, request).await?))
}

/// Make a token worthless
///
/// Requests with it are refused from now on; streams that it opened break off.
#[utoipa::path(
    post, path = routes::TOKEN_REVOKE, operation_id = "revoke_token", tag = "access",
    params(("token" = String, Path, description = "The token's id.")),
    responses((status = 200, description = "The token after it.", body = Token), ErrorResponse),
)]
pub(super) async fn revoke_token(
    State(consensus): State<Consensus>,
    by: Caller,
    TokenPath(id): TokenPath,
) -> Reply<Token> {
    Ok(Json(usecase::revoke_token(&consensus, &by, &id).await?))
}
