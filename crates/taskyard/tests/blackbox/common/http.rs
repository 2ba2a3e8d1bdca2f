//! A small blocking HTTP client that retries nothing and says whether a failed request may have taken effect.

use super::netns::Space;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any request of the tests may take.
const ANSWER: Duration = Duration::from_secs(60);

/// What an answer comes on.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}
pub(crate) type Connection = BufReader<Box<dyn Stream>>;

/// Where a client sits, whom it trusts and how long it waits.
#[derive(Clone)]
pub(crate) struct Seat {
    /// The network it is in; the test's own otherwise.
    pub(crate) space: Option<Space>,
    /// With TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// It goes away when neither a connection nor a byte has come for so long.
    pub(crate) patience: Duration,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// The `error` of a refusal.
    pub(crate) fn error(&self) -> Value {
        assert!(!self.is_success(), "{} {}", self.status, self.text());
        self.json()["error"].clone()
    }
}

/// No answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody listens: nothing was sent.
    Refused(io::Error),
    /// It was sent, perhaps only in part.
    #[expect(dead_code, reason = "tests print it")]
    Lost(io::Error),
}

/// A client with one kept connection to one of some servers; after a failure it goes on to the next.
pub(crate) struct Http {
    addresses: Vec<String>,
    at: usize,
    connection: Option<Connection>,
    /// A token that goes with each request.
    pub(crate) credential: Option<String>,
    pub(crate) seat: Seat,
}

/// The same client, not yet connected.
impl Clone for Http {
    fn clone(&self) -> Http {
        let Http { addresses, at, connection: _, credential, seat } = self;
        let (addresses, credential) = (addresses.clone(), credential.clone());
        Http { addresses, at: *at, connection: None, credential, seat: seat.clone() }
    }
}

impl Http {
    /// Of the servers at these addresses, separated by commas; the first is asked first.
    pub(crate) fn new(urls: &str) -> Http {
        let address = |url: &str| {
            let address = url.strip_prefix("http://").or(url.strip_prefix("https://")).unwrap_or(url);
            address.trim_end_matches('/').to_owned()
        };
        let addresses = urls.split(',').map(address).collect();
        let seat = Seat { space: None, tls: None, patience: ANSWER };
        Http { addresses, at: 0, connection: None, credential: None, seat }
    }

    /// The same servers, beginning with another one.
    pub(crate) fn beginning_at(mut self, at: u64) -> Http {
        self.at = at as usize % self.addresses.len();
        self
    }

    fn address(&self) -> &str {
        &self.addresses[self.at]
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self.once(method, path, body);
        if answer.is_err() {
            self.at = (self.at + 1) % self.addresses.len();
        }
        answer
    }

    fn once(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().map_err(Failure::Refused)?,
        };
        let answer = self.exchange(&mut connection, method, path, body);
        let (answer, keep) = answer.map_err(Failure::Lost)?;
        self.connection = keep.then_some(connection);
        Ok(answer)
    }

    /// The JSON of a successful `GET`; fails the test otherwise.
    pub(crate) fn get(&mut self, path: &str) -> Value {
        self.must("GET", path, None)
    }

    /// The JSON of a success; fails the test otherwise.
    pub(crate) fn must(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, path, body);
        assert!(answer.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Any answer; fails the test if there is none.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        match self.request(method, path, body) {
            Ok(answer) => answer,
            Err(failure) => panic!("{method} {path}: no answer from {}: {failure:?}", self.address()),
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        let Seat { space, tls, patience } = &self.seat;
        let address = self.address().to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let connect = || TcpStream::connect_timeout(&address, *patience);
        let stream = match space {
            Some(space) => space.within(connect)?,
            None => connect()?,
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(*patience))?;
        stream.set_write_timeout(Some(*patience))?;
        match tls {
            Some(config) => encrypted(stream, address, config),
            None => Ok(BufReader::new(Box::new(stream))),
        }
    }

    /// The status of an answer and its body, which may go on for long, on a connection of its own. The next one is at
    /// the next server.
    pub(crate) fn stream(&mut self, path: &str, header: &str) -> io::Result<(u16, Body)> {
        let opened = self.open(path, header);
        self.at = (self.at + 1) % self.addresses.len();
        opened
    }

    fn open(&self, path: &str, header: &str) -> io::Result<(u16, Body)> {
        let mut connection = self.connect()?;
        let request = format!("{}{header}\r\n", self.head("GET", path));
        connection.get_mut().write_all(request.as_bytes())?;
        let (status, headers) = read_head(&mut connection)?;
        match status == 200 && !is_chunked(&headers) {
            true => Err(io::Error::other(format!("a stream without chunks: {headers:?}"))),
            false => Ok((status, Chunks::of(connection))),
        }
    }

    fn head(&self, method: &str, path: &str) -> String {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ntaskyard-user: tester\r\n", self.address());
        if let Some(token) = &self.credential {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        head
    }

    fn exchange(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<(Answer, bool)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = self.head(method, path);
        if !body.is_empty() || method != "GET" {
            request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += &body;
        connection.get_mut().write_all(request.as_bytes())?;
        read_answer(connection)
    }
}

/// With the handshake done: if that fails, nothing was sent.
fn encrypted(
    mut stream: TcpStream,
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<Connection> {
    let name = address.ip().into();
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(BufReader::new(Box::new(StreamOwned::new(session, stream))))
}

/// Status line and headers in lower case.
pub(crate) fn read_head(connection: &mut impl BufRead) -> io::Result<(u16, Vec<String>)> {
    let first = line(connection)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP answer: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let header = line(connection)?.to_ascii_lowercase();
        if header.is_empty() {
            return Ok((status, headers));
        }
        headers.push(header);
    }
}

fn is_chunked(headers: &[String]) -> bool {
    headers.iter().any(|header| header.replace(' ', "") == "transfer-encoding:chunked")
}

/// What comes in chunks, up to the last one; a connection that ends before is an error.
pub(crate) struct Chunks<R> {
    from: R,
    /// Of this chunk.
    left: usize,
    ended: bool,
}

/// A body as it comes.
pub(crate) type Body = Chunks<Connection>;

impl<R: BufRead> Chunks<R> {
    fn of(from: R) -> Chunks<R> {
        Chunks { from, left: 0, ended: false }
    }

    fn begin(&mut self) -> io::Result<()> {
        let size = line(&mut self.from)?;
        self.left = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        self.ended = self.left == 0;
        if self.ended { line(&mut self.from).map(drop) } else { Ok(()) }
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.begin()?;
        }
        let most = to.len().min(self.left);
        // Behind the last chunk nothing comes: even for nothing one must not wait.
        if most == 0 {
            return Ok(0);
        }
        let count = self.from.read(&mut to[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        if self.left == 0 {
            line(&mut self.from)?;
        }
        Ok(count)
    }
}

fn read_answer(connection: &mut Connection) -> io::Result<(Answer, bool)> {
    let (status, headers) = read_head(connection)?;
    let header = |name: &str| headers.iter().find_map(|h| h.strip_prefix(name)).map(str::trim);
    let keep = header("connection:") != Some("close");
    let mut body = Vec::new();
    if is_chunked(&headers) {
        Chunks::of(connection).read_to_end(&mut body)?;
    } else if let Some(length) = header("content-length:") {
        body.resize(length.parse().map_err(io::Error::other)?, 0);
        connection.read_exact(&mut body)?;
    }
    Ok((Answer { status, headers, body }, keep))
}

pub(crate) fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 || !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
