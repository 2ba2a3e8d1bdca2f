//! Which of several forms of an answer a caller wants (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// A form that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// Its type and subtype.
    pub(super) kind: (&'static str, &'static str),
    /// Its version, where a caller names one.
    pub(super) version: &'static str,
    /// Its content type, in full.
    pub(super) content_type: &'static str,
}

/// A part of an `Accept`.
#[derive(Debug)]
struct Range {
    kind: (String, String),
    /// All but the quality, in lower case.
    parameters: Vec<(String, String)>,
    /// In thousandths.
    quality: u16,
}

/// The offer that the caller likes best; of equals the first. `None`: it takes none of them.
pub(super) fn choose<'o>(headers: &HeaderMap, offers: &'o [MediaType]) -> Option<&'o MediaType> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range> = lines.flat_map(|line| line.split(',')).filter_map(Range::parse).collect();
    // None, or none that can be read, is as good as everything.
    if ranges.is_empty() {
        return offers.first();
    }
    let liked = offers.iter().enumerate().filter_map(|(at, offer)| {
        let matching = ranges.iter().filter_map(|range| Some((range.fits(offer)?, range.quality)));
        // What is said more exactly counts, also if it is said to be worse.
        let (_, quality) = matching.max_by_key(|(exactness, quality)| (*exactness, *quality))?;
        (quality > 0).then_some((quality, std::cmp::Reverse(at), offer))
    });
    liked.max_by_key(|(quality, at, _)| (*quality, *at)).map(|(_, _, offer)| offer)
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let mut range = Range {
            kind: (kind.trim().to_ascii_lowercase(), subkind.trim().to_ascii_lowercase()),
            parameters: Vec::new(),
            quality: 1_000,
        };
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            match name.as_str() {
                "q" => range.quality = quality(value)?,
                _ => range.parameters.push((name, value.to_ascii_lowercase())),
            }
        }
        Some(range)
    }

    /// How exactly it names an offer; `None` if it does not.
    fn fits(&self, offer: &MediaType) -> Option<u8> {
        let (kind, subkind) = (self.kind.0.as_str(), self.kind.1.as_str());
        let exactness = match (kind == offer.kind.0, subkind == offer.kind.1) {
            (true, true) => 2,
            (true, false) if subkind == "*" => 1,
            (false, _) if (kind, subkind) == ("*", "*") => 0,
            _ => return None,
        };
        // Other parameters ask for nothing that could be given, such as how names are to be escaped.
        let mut more = 0;
        for (name, value) in &self.parameters {
            match name.as_str() {
                "version" if value != offer.version => return None,
                "charset" if value != "utf-8" => return None,
                "version" | "charset" => more = 1,
                _ => {}
            }
        }
        Some(exactness + more)
    }
}

/// `0.75` as thousandths. What is no quality makes the range void.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [MediaType; 2] = [
        MediaType { kind: ("text", "plain"), version: "0.0.4", content_type: "text" },
        MediaType { kind: ("application", "openmetrics-text"), version: "1.0.0", content_type: "open" },
    ];

    fn check(accept: &[&str], wanted: &str) {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        let chosen = choose(&headers, &OFFERS).map_or("none", |offer| offer.content_type);
        assert_eq!(chosen, wanted, "{accept:?}");
    }

    #[test]
    fn what_is_asked_for_is_given() {
        check(&[], "text");
        for all in
            ["*/*", "text/*", "text/plain", "text/plain;version=0.0.4", "TEXT/Plain; Version=\"0.0.4\""]
        {
            check(&[all], "text");
        }
        for open in
            ["application/openmetrics-text", "application/*", "application/openmetrics-text; version=1.0.0"]
        {
            check(&[open], "open");
        }
        // Prometheus 2 and 3, Telegraf, a browser.
        check(
            &[
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ],
            "open",
        );
        check(
            &[
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
            ],
            "open",
        );
        check(
            &[
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
            ],
            "text",
        );
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], "text");
        check(&["application/openmetrics-text;version=1.0.0", "text/plain;version=0.0.4;q=0.5"], "open");
        check(&["application/openmetrics-text;q=0.2, text/plain;q=0.3"], "text");
        check(&["application/openmetrics-text, text/plain"], "text");
        check(&["text/plain;q=0.1, */*;q=0.9"], "open");
        check(&["text/plain;q=0, */*"], "open");
        check(&["text/plain;charset=utf-8"], "text");
        check(&["nonsense", "q=1"], "text");
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for none in [
            "image/png",
            "text/html",
            "application/json",
            "*/*;q=0",
            "text/plain;version=9",
            "text/plain;charset=latin1",
            "application/openmetrics-text;version=0.0.1",
            "text/plain;q=0,application/openmetrics-text;q=0.000",
        ] {
            check(&[none], "none");
        }
        for void in ["text/plain;q=2", "text/plain;q=x", "text/plain;q=0.1234", "text/plain;q=-1"] {
            check(&[void, "application/openmetrics-text;q=0.1"], "open");
        }
    }
}
