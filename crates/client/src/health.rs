//! How servers are, in words: what a survey found, and what an error of a connection says.

use std::fmt;
use std::net::IpAddr;

/// How a server is, as far as its address tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerHealth {
    /// It serves requests.
    Ready,
    /// It answers, and cannot serve now: why.
    Unable(String),
    /// There is no connection to it: why.
    Unconnected(String),
    /// It accepts connections and does not answer, as a stopped process does.
    Silent,
    /// There is no TLS with it: why.
    Untrusted(String),
    /// What answers is no Taskyard server: why.
    Stranger(String),
}

impl ServerHealth {
    fn answers(&self) -> bool {
        matches!(self, ServerHealth::Ready | ServerHealth::Unable(_))
    }
}

impl fmt::Display for ServerHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerHealth::Ready => f.write_str("ready"),
            ServerHealth::Unable(why) => write!(f, "answers, but cannot serve: {why}"),
            ServerHealth::Unconnected(why) => f.write_str(why),
            ServerHealth::Silent => f.write_str("accepts connections but does not answer"),
            ServerHealth::Untrusted(why) => write!(f, "no TLS: {why}"),
            ServerHealth::Stranger(why) => write!(f, "not a Taskyard server: {why}"),
        }
    }
}

/// The health of every known server, in the order of their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey(pub Vec<(String, ServerHealth)>);

impl Survey {
    /// What is known after one failed call to one address.
    pub(crate) fn of_one(url: &str, health: ServerHealth) -> Survey {
        Survey(vec![(url.to_owned(), health)])
    }

    /// The first server other than this one that is as wanted.
    pub(crate) fn beside(&self, url: &str, wanted: impl Fn(&ServerHealth) -> bool) -> Option<&str> {
        self.0.iter().find(|(at, health)| at != url && wanted(health)).map(|(at, _)| at.as_str())
    }

    pub(crate) fn any_ready(&self) -> bool {
        self.0.iter().any(|(_, health)| *health == ServerHealth::Ready)
    }

    /// Servers that answer.
    pub fn answering(&self) -> usize {
        self.0.iter().filter(|(_, health)| health.answers()).count()
    }

    /// Whether everything that was reached is something else than a Taskyard server, so that nothing can have
    /// happened there.
    pub(crate) fn is_strange(&self) -> bool {
        let is_strange =
            |health: &ServerHealth| matches!(health, ServerHealth::Untrusted(_) | ServerHealth::Stranger(_));
        !self.0.is_empty() && self.0.iter().all(|(_, health)| is_strange(health))
    }

    /// The first cause of no TLS.
    pub(crate) fn untrusted(&self) -> Option<&str> {
        self.0.iter().find_map(|(_, health)| match health {
            ServerHealth::Untrusted(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// Whether all addresses are of this machine.
    pub(crate) fn is_local(&self) -> bool {
        let is_local = |url: &str| {
            let uri: Option<hyper::Uri> = url.parse().ok();
            let host = uri.as_ref().and_then(hyper::Uri::host).unwrap_or_default();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        self.0.iter().all(|(url, _)| is_local(url))
    }
}

/// One sentence, and for several servers a line on each.
impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(url, health)] = &self.0[..] {
            return match health {
                ServerHealth::Ready | ServerHealth::Unable(_) => write!(f, "the server at {url} {health}"),
                ServerHealth::Stranger(why) => {
                    write!(f, "{url} does not answer like a Taskyard server: {why}")
                }
                other => write!(f, "no Taskyard server answers at {url} ({other})"),
            };
        }
        let (answering, all) = (self.answering(), self.0.len());
        match answering {
            0 => write!(f, "none of the {all} servers answers")?,
            n => write!(f, "{n} of {all} servers {}", if n == 1 { "answers" } else { "answer" })?,
        }
        if answering > 0 && !self.any_ready() {
            let enough = answering > all / 2;
            f.write_str(if enough { ", but none can serve requests" } else { ", no majority" })?;
        }
        let width = self.0.iter().map(|(url, _)| url.chars().count()).max().unwrap_or(0);
        self.0.iter().try_for_each(|(url, health)| write!(f, "\n  {url:width$}  {health}"))
    }
}

/// What an error of a connection attempt says.
pub(crate) fn of_unconnected(url: &str, cause: &str) -> ServerHealth {
    if cause.contains("certificate") || cause.contains("UnknownIssuer") || cause.contains("NotValidForName") {
        return ServerHealth::Untrusted(cause.to_owned());
    }
    // What rustls says of bytes that are no TLS, and what the peer of a wrong version says.
    if url.starts_with("https://") && (cause.contains("InvalidMessage") || cause.contains("corrupt message"))
    {
        return ServerHealth::Untrusted("it speaks plain HTTP; write http:// instead of https://".to_owned());
    }
    if cause.contains("failed to lookup") || cause.contains("Name or service not known") {
        return ServerHealth::Unconnected("the name does not resolve".to_owned());
    }
    ServerHealth::Unconnected(match cause.split_once(" (os error") {
        Some((plain, _)) => plain.to_lowercase(),
        None => cause.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_servers() {
        let refused = || ServerHealth::Unconnected("connection refused".to_owned());
        let unable = || ServerHealth::Unable("no leader".to_owned());
        let at = |healths: Vec<ServerHealth>| {
            Survey(
                healths
                    .into_iter()
                    .enumerate()
                    .map(|(i, health)| (format!("http://s{i}:1"), health))
                    .collect(),
            )
        };
        let first = |healths: Vec<ServerHealth>| at(healths).to_string().lines().next().unwrap().to_owned();
        assert_eq!(first(vec![unable(), refused(), refused()]), "1 of 3 servers answers, no majority");
        assert_eq!(
            first(vec![unable(), unable(), refused()]),
            "2 of 3 servers answer, but none can serve requests"
        );
        assert_eq!(first(vec![unable(), ServerHealth::Silent]), "1 of 2 servers answers, no majority");
        assert_eq!(first(vec![refused(), ServerHealth::Silent]), "none of the 2 servers answers");
        assert_eq!(first(vec![refused()]), "no Taskyard server answers at http://s0:1 (connection refused)");
        let text = at(vec![unable(), ServerHealth::Silent]).to_string();
        assert!(text.ends_with("\n  http://s1:1  accepts connections but does not answer"), "{text}");
    }

    #[test]
    fn causes_have_names() {
        let check =
            |url: &str, cause: &str, health: ServerHealth| assert_eq!(of_unconnected(url, cause), health);
        let unconnected = |text: &str| ServerHealth::Unconnected(text.to_owned());
        check("http://a:1", "Connection refused (os error 111)", unconnected("connection refused"));
        check(
            "http://a:1",
            "failed to lookup address information: Name or service not known",
            unconnected("the name does not resolve"),
        );
        let plain =
            ServerHealth::Untrusted("it speaks plain HTTP; write http:// instead of https://".to_owned());
        check("https://a:1", "received corrupt message of type InvalidContentType", plain);
        let unknown = "invalid peer certificate: UnknownIssuer";
        check("https://a:1", unknown, ServerHealth::Untrusted(unknown.to_owned()));
    }
}
