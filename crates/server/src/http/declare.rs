//! Routes with their permissions. A route can only be added with one: the router inside is private.

use super::answer::invalid;
use crate::app::App;
use crate::auth::{ObjectKind, Permission, Verb, authorise};
use crate::failure::ErrorResponse;
use crate::peers::is_local;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use axum::{Router, http::Method};
use std::sync::Arc;
use taskyard_api::{body, routes};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, extensions::ExtensionsBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Name of the security scheme in the document.
const SCHEME: &str = "token";
/// Where the document says what a route needs.
const NEEDS: &str = "x-taskyard-permission";

/// A route as it was declared.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) permission: Permission,
}

/// Routes that are being gathered.
pub(super) struct Routes {
    router: OpenApiRouter<App>,
    #[cfg(test)]
    declared: Vec<Declared>,
}

impl Routes {
    /// None yet.
    pub(super) fn of(mut document: OpenApi) -> Routes {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("tyt_ID_SECRET");
        let scheme = scheme.description(Some("A token, as `taskyard token create` prints it.")).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        Routes {
            router: OpenApiRouter::with_openapi(document),
            #[cfg(test)]
            declared: Vec::new(),
        }
    }

    /// Adds a documented route: what it does, to which kind of object.
    pub(super) fn may(mut self, verb: Verb, kind: ObjectKind, route: UtoipaMethodRouter<App>) -> Routes {
        let permission = Permission { verb, kind };
        let (schemas, mut paths, methods) = route;
        let mut known = KnownQuery::default();
        for (path, item) in &mut paths.paths {
            let is_local = is_local(path);
            for (method, operation) in operations(item) {
                if method == Method::GET && !is_local {
                    operation.parameters.get_or_insert_default().push(RefOr::T(consistency()));
                }
                known.note(&method, operation);
                let scopes: [&str; 0] = [];
                operation.security = Some(match kind {
                    ObjectKind::Health => Vec::new(),
                    _ => vec![SecurityRequirement::new(SCHEME, scopes)],
                });
                let needs = ExtensionsBuilder::new().add(NEEDS, format!("{} {}", verb.name(), kind.name()));
                operation.extensions = Some(needs.build());
                self.note(method, path, permission);
            }
        }
        let known = Arc::new(known);
        let methods = methods.route_layer(from_fn(move |request: Request, next: Next| {
            let refused = known.refusal(&request);
            async move {
                match refused {
                    Some(error) => error.into_response(),
                    None => next.run(request).await,
                }
            }
        }));
        self.router = self.router.routes((schemas, paths, guarded(permission, methods)));
        self
    }

    /// Adds a route that is none of the API.
    pub(super) fn may_undocumented(
        mut self,
        permission: Permission,
        (method, path): (Method, &str),
        methods: MethodRouter<App>,
    ) -> Routes {
        self.note(method, path, permission);
        self.router = self.router.route(path, guarded(permission, methods));
        self
    }

    #[cfg(test)]
    fn note(&mut self, method: Method, path: &str, permission: Permission) {
        self.declared.push(Declared { method, path: path.to_owned(), permission });
    }

    #[cfg(not(test))]
    fn note(&mut self, _: Method, _: &str, _: Permission) {}

    /// All of them, with what answers where there is none.
    pub(super) fn router<A: 'static, B: 'static>(
        self,
        no_path: impl Handler<A, App>,
        no_method: impl Handler<B, App>,
    ) -> Router<App> {
        // Strangers are not told which paths there are.
        let permission = Permission { verb: Verb::View, kind: ObjectKind::Document };
        let guard = from_fn(move |request: Request, next: Next| authorise(permission, request, next));
        let (router, _) = self.router.split_for_parts();
        router.fallback(no_path.layer(guard.clone())).method_not_allowed_fallback(no_method.layer(guard))
    }

    pub(super) fn document(self) -> OpenApi {
        self.router.into_openapi()
    }

    /// What was declared.
    #[cfg(test)]
    pub(super) fn declared(&self) -> &[Declared] {
        &self.declared
    }
}

/// Which query parameters a path takes, by method, as the document says.
#[derive(Default)]
struct KnownQuery(Vec<(Method, Vec<String>)>);

impl KnownQuery {
    fn note(&mut self, method: &Method, operation: &Operation) {
        let all = operation.parameters.iter().flatten();
        let named = all.filter_map(|parameter| match parameter {
            RefOr::T(one) if one.parameter_in == ParameterIn::Query => Some(one.name.clone()),
            _ => None,
        });
        let names = named.collect();
        self.0.push((method.clone(), names));
    }

    /// A parameter that is not known is a mistake that must not be without effect.
    fn refusal(&self, request: &Request) -> Option<ErrorResponse> {
        let query = request.uri().query().filter(|query| !query.is_empty())?;
        let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let (_, known) = self.0.iter().find(|(of, _)| of == method)?;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let is_known = |name: &str| known.iter().any(|known| known == name);
        let (name, value) = pairs.into_iter().find(|(name, value)| !is_known(name) || value.is_empty())?;
        if is_known(name) {
            return Some(invalid(name, value, "give a value, or leave it out"));
        }
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let remedy = match (body::near(name, &names), names.is_empty()) {
            (Some(near), _) => format!("there is no query parameter of this name; did you mean \"{near}\"?"),
            (None, true) => "this path takes no query parameters".to_owned(),
            (None, false) => {
                format!("there is no query parameter of this name; there are {}", names.join(", "))
            }
        };
        Some(invalid(name, value, remedy))
    }
}

/// Taken out of the query before a handler sees it.
fn consistency() -> Parameter {
    let values = ["linearizable", "stale"];
    ParameterBuilder::new()
        .name(routes::CONSISTENCY)
        .parameter_in(ParameterIn::Query)
        .description(Some("`stale` answers with what this server knows, even without a leader."))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(values))
                .default(Some("linearizable".into())),
        ))
        .build()
}

fn guarded(permission: Permission, methods: MethodRouter<App>) -> MethodRouter<App> {
    methods.route_layer(from_fn(move |request: Request, next: Next| authorise(permission, request, next)))
}

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}
