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

/// Show the current user and permissions
#[utoipa::path(
    get, path = routes::WHOAMI, operation_id = "whoami", tag = "access",
    responses((status = 200, description = "The caller.", body = Whoami), ErrorResponse),
)]
pub(super) async fn whoami(State(consensus): State<Consensus>, by: Caller) -> Reply<Whoami> {
    Ok(Json(usecase::whoami(&consensus, by.identity())))
}

/// Sign the key of an agent or a server
///
/// Requires a join token or, on an agent's connection, the certificate to renew.
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

/// List namespaces whose jobs you may see
#[utoipa::path(
    get, path = routes::NAMESPACES, operation_id = "list_namespaces", tag = "access",
    responses((status = 200, description = "The namespaces, by name.", body = Page<Namespace>), ErrorResponse),
)]
pub(super) async fn namespaces(State(consensus): State<Consensus>, by: Caller) -> Reply<Page<Namespace>> {
    Ok(Json(Page { items: usecase::namespaces(&consensus, &by.visible())?, next: None }))
}

/// Create a namespace
///
/// A namespace that exists stays as it is.
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
/// An administrator sees all of them, other users their own.
#[utoipa::path(
    get, path = routes::TOKENS, operation_id = "list_tokens", tag = "access",
    responses((status = 200, description = "The tokens, by id.", body = Page<Token>), ErrorResponse),
)]
pub(super) async fn tokens(State(consensus): State<Consensus>, by: Caller) -> Reply<Page<Token>> {
    Ok(Json(Page { items: usecase::tokens(&consensus, &by)?, next: None }))
}

/// Create a token
///
/// The answer contains its text. The server keeps only a hash and cannot show it again. Repeating the call creates
/// another token.
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

/// Revoke a token
///
/// Requests with it are refused from now on; streams that it opened break off.
#[utoipa::path(
    post, path = routes::TOKEN_REVOKE, operation_id = "revoke_token", tag = "access",
    params(("token" = String, Path, description = "The token's id.")),
    responses((status = 200, description = "The token after the change.", body = Token), ErrorResponse),
)]
pub(super) async fn revoke_token(
    State(consensus): State<Consensus>,
    by: Caller,
    TokenPath(id): TokenPath,
) -> Reply<Token> {
    Ok(Json(usecase::revoke_token(&consensus, &by, &id).await?))
}
