//! Keeps web pages out. Anyone who reaches this port may run commands, and a page in a browser on this machine reaches
//! it: by sending a request that needs no permission, or by giving its own name this machine's address. Both leave
//! marks that no client of ours leaves.

use crate::failure::ErrorResponse;
use axum::extract::Request;
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use taskyard_api::{ApiError, ErrorCode};
use taskyard_model::limits::HTTP_HEADERS_BYTES_MAX;

/// With TLS any name is good: a certificate stands for it, and no page can be made to have that.
pub(super) async fn guard(tls: bool, request: Request, next: Next) -> Response {
    match check(tls, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => ErrorResponse(error).into_response(),
    }
}

fn check(tls: bool, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HTTP_HEADERS_BYTES_MAX {
        let message = format!("the headers of a request have at most {HTTP_HEADERS_BYTES_MAX} bytes");
        return Err(ApiError {
            field: Some("headers".into()),
            ..ApiError::new(ErrorCode::TooLarge, message)
        });
    }
    let text =
        |name| headers.get(name).map(|v: &header::HeaderValue| v.to_str().unwrap_or_default().to_owned());
    // HTTP/2 has it in the address.
    let host = text(header::HOST).or_else(|| uri.authority().map(|a| a.as_str().to_owned()));
    if let Some(host) = host.as_deref().filter(|host| !tls && !is_this_machine(host)) {
        return Err(denied(format!("requests to the name \"{host}\" are refused"))
            .remedy("connect by address or as localhost, as in http://127.0.0.1:7420"));
    }
    let origin = text(header::ORIGIN);
    let foreign = |origin: &&str| origin.split_once("://").map(|(_, host)| host) != host.as_deref();
    if let Some(origin) = origin.as_deref().filter(foreign) {
        return Err(denied(format!("requests from pages of {origin} are refused")));
    }
    Ok(())
}

fn denied(message: String) -> ApiError {
    ApiError::new(ErrorCode::Denied, message)
}

/// A name that only this machine's own configuration can point here, or an address.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_out() {
        let check = |host: Option<&str>, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                value.map(|v| headers.insert(name, v.parse().unwrap()));
            }
            check(false, &Uri::from_static("/v1/jobs"), &headers).is_ok()
        };
        for host in ["127.0.0.1:7420", "localhost:7420", "LOCALHOST", "[::1]:7420", "10.0.0.1"] {
            assert!(check(Some(host), None), "{host}");
        }
        assert!(check(None, None));
        for host in ["evil.example:7420", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"] {
            assert!(!check(Some(host), None), "{host}");
        }
        assert!(check(Some("127.0.0.1:7420"), Some("http://127.0.0.1:7420")));
        for origin in
            ["https://evil.example", "null", "http://127.0.0.1:8080", "http://127.0.0.1:7420.evil.example"]
        {
            assert!(!check(Some("127.0.0.1:7420"), Some(origin)), "{origin}");
        }
    }
}
