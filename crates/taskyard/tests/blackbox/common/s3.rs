//! A service that speaks as much of the S3 protocol as backups need, in threads of the test. It keeps objects in
//! memory, hands lists out in short pages, and refuses requests that are not signed with the key it knows.

use super::http::line;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The id that requests must be signed with.
pub(crate) const KEY_ID: &str = "test-key-id";
/// Keys in one page of a list.
const PAGE: usize = 3;

/// The service. It ends with the process.
#[derive(Clone)]
pub(crate) struct S3 {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// By path, `/bucket/key`.
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    parts: usize,
    pages: usize,
    refused: usize,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    range: Option<(usize, usize)>,
    signed: bool,
    body: Vec<u8>,
}

impl S3 {
    /// Starts it, with buckets of any name.
    pub(crate) fn start() -> S3 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let s3 = S3 { url, inner: Arc::default() };
        let service = s3.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = service.clone();
                std::thread::spawn(move || service.serve(&stream));
            }
        });
        s3
    }

    /// Changes an object.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.inner.lock().unwrap().objects.get_mut(path).unwrap());
    }

    /// Parts that came, pages that went, requests that were refused.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let inner = self.inner.lock().unwrap();
        (inner.parts, inner.pages, inner.refused)
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut input = BufReader::new(stream);
        loop {
            let request = read(&mut input).ok()?;
            let (status, headers, body) = self.inner.lock().unwrap().answer(&request);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
            let mut out = stream;
            out.write_all(head.as_bytes()).ok()?;
            if request.method != "HEAD" {
                out.write_all(&body).ok()?;
            }
        }
    }
}

fn read(input: &mut BufReader<&TcpStream>) -> io::Result<Request> {
    let first = line(input)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = query.map(|(k, v)| (k.to_owned(), v.replace("%2F", "/"))).collect();
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        range: None,
        signed: false,
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let header = line(input)?;
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "authorization" => {
                request.signed = value.starts_with("AWS4-HMAC-SHA256 ")
                    && value.contains(&format!("Credential={KEY_ID}/"));
            }
            "range" => {
                let (from, to) = value.trim_start_matches("bytes=").split_once('-').unwrap();
                request.range = Some((from.parse().unwrap(), to.parse().unwrap()));
            }
            _ => {}
        }
    }
    request.body.resize(length, 0);
    input.read_exact(&mut request.body)?;
    Ok(request)
}

type Answer = (&'static str, String, Vec<u8>);

impl Inner {
    fn answer(&mut self, request: &Request) -> Answer {
        if !request.signed {
            self.refused += 1;
            return xml("403 Forbidden", "<Error><Code>InvalidAccessKeyId</Code></Error>");
        }
        let upload = request.query.get("uploadId");
        match (request.method.as_str(), upload) {
            ("GET", _) if request.query.contains_key("list-type") => self.list(request),
            ("GET" | "HEAD", _) => self.get(request),
            ("PUT", Some(upload)) => {
                let part = request.query["partNumber"].parse().unwrap();
                self.parts += 1;
                self.uploads.get_mut(upload).unwrap().insert(part, request.body.clone());
                ("200 OK", "etag: \"part\"\r\n".into(), Vec::new())
            }
            ("PUT", None) => {
                self.objects.insert(request.path.clone(), request.body.clone());
                ("200 OK", "etag: \"whole\"\r\n".into(), Vec::new())
            }
            ("POST", None) if request.query.contains_key("uploads") => {
                let id = format!("upload-{}", self.uploads.len());
                self.uploads.insert(id.clone(), BTreeMap::new());
                let text = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                xml("200 OK", &text)
            }
            ("POST", Some(upload)) => {
                let parts = self.uploads.remove(upload).unwrap();
                self.objects.insert(request.path.clone(), parts.into_values().flatten().collect());
                xml(
                    "200 OK",
                    "<CompleteMultipartUploadResult><ETag>\"parts\"</ETag></CompleteMultipartUploadResult>",
                )
            }
            ("DELETE", None) => {
                self.objects.remove(&request.path);
                ("204 No Content", String::new(), Vec::new())
            }
            _ => xml("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>"),
        }
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = self.objects.get(&request.path) else {
            return xml("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
        };
        let headers = "etag: \"x\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n".to_owned();
        match request.range {
            None => ("200 OK", headers, object.clone()),
            Some((from, to)) => {
                let to = to.min(object.len() - 1);
                let range = format!("content-range: bytes {from}-{to}/{}\r\n", object.len());
                ("206 Partial Content", headers + &range, object[from..=to].to_vec())
            }
        }
    }

    /// Some of the keys of a bucket, after the one that was last on the page before.
    fn list(&mut self, request: &Request) -> Answer {
        self.pages += 1;
        let bucket = format!("{}/", request.path.trim_end_matches('/'));
        let prefix = request.query.get("prefix").cloned().unwrap_or_default();
        let after = request.query.get("continuation-token").cloned().unwrap_or_default();
        let keys = self
            .objects
            .iter()
            .filter_map(|(path, object)| Some((path.strip_prefix(&bucket)?, object.len())));
        let keys: Vec<_> = keys.filter(|(key, _)| key.starts_with(&prefix) && **key > *after).collect();
        let mut text = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", keys.len() > PAGE);
        for (key, size) in keys.iter().take(PAGE) {
            text.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>{size}</Size></Contents>"
            ));
        }
        if keys.len() > PAGE {
            text.push_str(&format!("<NextContinuationToken>{}</NextContinuationToken>", keys[PAGE - 1].0));
        }
        xml("200 OK", &(text + "</ListBucketResult>"))
    }
}

fn xml(status: &'static str, text: &str) -> Answer {
    (status, "content-type: application/xml\r\n".into(), text.as_bytes().to_vec())
}
