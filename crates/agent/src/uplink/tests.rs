//! The uplink against servers that do as they are told.

use super::*;
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use std::sync::Arc;
use taskyard_model::{Incarnation, NodeId};
use taskyard_wire::Codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::codec::Framed;

const SOON: Duration = Duration::from_secs(20);

/// What a fake server thinks and has seen.
#[derive(Clone, Default)]
struct View {
    term: u64,
    leads: bool,
    leader: Option<String>,
    all: Vec<String>,
    /// Heartbeats are not answered.
    mute: bool,
    /// The agent may not even stand by.
    shut_out: bool,
}

struct Server {
    url: String,
    view: watch::Sender<View>,
    dialled: Arc<Mutex<u32>>,
    sessions: Arc<Mutex<u32>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    /// As if its process were killed.
    fn drop(&mut self) {
        self.accepting.abort();
        self.view.send_modify(|view| *view = View::default());
    }
}

impl Server {
    async fn start(number: u64) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let view = watch::Sender::new(View { term: 1, ..View::default() });
        let (dialled, sessions) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let accepting = {
            let (view, dialled, sessions) = (view.clone(), dialled.clone(), sessions.clone());
            tokio::spawn(async move {
                let mut serving = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    *dialled.lock() += 1;
                    serving.spawn(serve(number, stream, view.subscribe(), sessions.clone()));
                }
            })
        };
        Server { url, view, dialled, sessions, accepting }
    }

    fn set(&self, change: impl FnOnce(&mut View)) {
        self.view.send_modify(change);
    }

    fn dialled(&self) -> u32 {
        *self.dialled.lock()
    }

    fn sessions(&self) -> u32 {
        *self.sessions.lock()
    }
}

async fn serve(
    number: u64,
    mut stream: TcpStream,
    mut view: watch::Receiver<View>,
    sessions: Arc<Mutex<u32>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: taskyard-agent/1\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let mut framed = Framed::new(stream, Codec::<ToServer, ToAgent>::default());
    let mut in_session = false;
    loop {
        let answers = tokio::select! {
            message = framed.next() => {
                let Some(Ok(message)) = message else { return };
                let now = view.borrow().clone();
                match message {
                    ToServer::Hello(_) if now.shut_out => vec![shut_out()],
                    ToServer::Hello(hello) if hello.standby => vec![servers(number, &now)],
                    ToServer::Hello(_) if !now.leads => vec![refused(&now)],
                    ToServer::Hello(_) => {
                        in_session = true;
                        *sessions.lock() += 1;
                        vec![welcome(&now), servers(number, &now)]
                    }
                    ToServer::Heartbeat { .. } if now.mute => continue,
                    ToServer::Heartbeat { sent_boot_ms, .. } if in_session => vec![granted(sent_boot_ms)],
                    ToServer::Heartbeat { .. } => vec![ToAgent::Alive],
                    other => panic!("{other:?}"),
                }
            }
            changed = view.changed() => {
                let now = view.borrow_and_update().clone();
                match changed {
                    Ok(()) if now.shut_out => vec![shut_out()],
                    Ok(()) if now.term > 0 => vec![servers(number, &now)],
                    _ => return,
                }
            }
        };
        for answer in answers {
            if framed.send(&answer).await.is_err() || matches!(answer, ToAgent::Refused(_)) {
                return;
            }
        }
    }
}

fn servers(from: u64, view: &View) -> ToAgent {
    let View { term, leads, leader, all, .. } = view.clone();
    ToAgent::Servers(Servers { from, term, leads, leader, all, as_of: term, heartbeat_ms: 100 })
}

fn refused(view: &View) -> ToAgent {
    let leader = view.leader.clone();
    ToAgent::Refused(Refused { lost: false, message: "not I".into(), retry_after_ms: 20, leader })
}

fn shut_out() -> ToAgent {
    ToAgent::Refused(Refused { lost: false, message: "removed".into(), retry_after_ms: 0, leader: None })
}

fn welcome(view: &View) -> ToAgent {
    ToAgent::Welcome(Welcome {
        cluster: None,
        node: NodeId(1),
        incarnation: Incarnation(1),
        term: view.term,
        session: 1,
        lease_ms: 1_000,
        heartbeat_ms: 50,
    })
}

fn granted(sent_boot_ms: u64) -> ToAgent {
    let (incarnation, term, session) = (Incarnation(1), 1, 1);
    ToAgent::Granted(Granted { sent_boot_ms, remaining_ms: 1_000, incarnation, term, session })
}

fn hello() -> Hello {
    Hello {
        cluster: None,
        version: String::new(),
        node: "n1".into(),
        agent_uuid: String::new(),
        boot_id: String::new(),
        incarnation: None,
        term: 0,
        capacity: Capacity::default(),
        labels: Default::default(),
        process: 1,
        isolation: String::new(),
        replaces: None,
        unfit: None,
        standby: false,
    }
}

fn uplink(servers: &[&Server]) -> Uplink {
    let urls: Vec<String> = servers.iter().map(|server| server.url.clone()).collect();
    Uplink::new(AddressBook::new(&urls), hello())
}

/// Runs the uplink as an agent does until `done`.
async fn until(uplink: &mut Uplink, what: &str, done: impl FnMut(&Uplink) -> bool) {
    let refused = until_or_refused(uplink, what, done).await;
    assert_eq!(refused, None, "until {what}");
}

/// The same; comes back with what the agent is refused for good, if it is.
async fn until_or_refused(
    uplink: &mut Uplink,
    what: &str,
    mut done: impl FnMut(&Uplink) -> bool,
) -> Option<Refused> {
    let limit = Instant::now() + SOON;
    while !done(uplink) {
        assert!(Instant::now() < limit, "waited too long until {what}");
        let wake = uplink.next_wake(true).unwrap_or(limit).min(Instant::now() + Duration::from_millis(10));
        tokio::select! {
            event = uplink.event() => uplink.handle(event),
            () = tokio::time::sleep_until(wake) => {}
        }
        uplink.tick(true, Load::default);
        while let Some(news) = uplink.next() {
            match news {
                News::Open => uplink.hello(hello()),
                News::Message(ToAgent::Refused(refused)) if refused.is_final() => return Some(refused),
                _ => {}
            }
        }
        uplink.flush();
    }
    None
}

async fn cluster<const N: usize>(leader: usize) -> [Server; N] {
    let mut servers = Vec::new();
    for number in 1..=N {
        servers.push(Server::start(number as u64).await);
    }
    let all: Vec<String> = servers.iter().map(|server| server.url.clone()).collect();
    let servers: [Server; N] = servers.try_into().unwrap_or_else(|_| unreachable!());
    servers.iter().for_each(|server| server.set(|view| view.all.clone_from(&all)));
    lead(&servers.each_ref(), leader, 1);
    servers
}

fn lead(servers: &[&Server], leader: usize, term: u64) {
    for (at, server) in servers.iter().enumerate() {
        let leader = (at != leader).then(|| servers[leader].url.clone());
        server.set(|view| (view.leads, view.leader, view.term) = (leader.is_none(), leader, term));
    }
}

fn stands(uplink: &Uplink, server: &Server) -> bool {
    uplink.state() == UplinkState::InSession && uplink.session.url == server.url
}

fn has_standby(uplink: &Uplink) -> bool {
    uplink.standby.is_open() && uplink.advice.is_some()
}

#[tokio::test]
async fn a_follower_sends_the_agent_to_the_leader_and_another_server_stands_by() {
    let [a, b, c] = cluster(1).await;
    // It was started when there was one server.
    let mut uplink = uplink(&[&a]);
    until(&mut uplink, "the session stands", |uplink| stands(uplink, &b)).await;
    assert_eq!((a.dialled(), b.dialled()), (1, 1));
    until(&mut uplink, "another stands by", has_standby).await;
    assert_ne!(uplink.standby.url, b.url);
    assert_eq!((b.dialled(), b.sessions(), c.sessions()), (1, 1, 0));
}

#[tokio::test]
async fn the_connection_that_stands_by_becomes_the_session() {
    let [a, b] = cluster(0).await;
    let mut uplink = uplink(&[&a, &b]);
    until(&mut uplink, "another stands by", |uplink| stands(uplink, &a) && has_standby(uplink)).await;
    let dialled = b.dialled();
    b.set(|view| (view.leads, view.leader, view.term) = (true, None, 2));
    drop(a);
    until(&mut uplink, "the session stands", |uplink| stands(uplink, &b)).await;
    assert_eq!((b.sessions(), b.dialled()), (1, dialled), "without another connection");
}

#[tokio::test]
async fn a_leader_that_takes_no_sessions_yet_is_asked_again() {
    let [a, b, c] = cluster(0).await;
    let mut uplink = uplink(&[&a, &b, &c]);
    until(&mut uplink, "b stands by", |uplink| stands(uplink, &a) && has_standby(uplink)).await;
    let (standby, elected) = if uplink.standby.url == b.url { (&b, &c) } else { (&c, &b) };
    // It does not know yet what the other knows.
    elected.set(|view| (view.leader, view.term) = (None, 2));
    standby.set(|view| (view.leader, view.term) = (Some(elected.url.clone()), 2));
    let before = elected.dialled();
    until(&mut uplink, "it is called", |_| elected.dialled() > before + 1).await;
    elected.set(|view| view.leads = true);
    let began = Instant::now();
    until(&mut uplink, "the session stands", |uplink| stands(uplink, elected)).await;
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_old_leader_that_is_cut_off_is_left_for_the_new_one() {
    let [a, b, c] = cluster(0).await;
    let mut uplink = uplink(&[&a, &b, &c]);
    until(&mut uplink, "another stands by", |uplink| stands(uplink, &a) && has_standby(uplink)).await;
    // It still answers, and thinks that it leads.
    for next in [&b, &c] {
        next.set(|view| (view.leads, view.leader, view.term) = (next.url == b.url, Some(b.url.clone()), 2));
    }
    until(&mut uplink, "the session stands", |uplink| stands(uplink, &b)).await;
    until(&mut uplink, "another stands by", has_standby).await;
    // What it says now is old.
    a.set(|view| view.all.reverse());
    until(&mut uplink, "another stands by", has_standby).await;
    assert!(stands(&uplink, &b));
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_left() {
    let [a, b] = cluster(0).await;
    let mut uplink = uplink(&[&a]);
    until(&mut uplink, "the session stands", |uplink| stands(uplink, &a)).await;
    a.set(|view| view.mute = true);
    until(&mut uplink, "the session ends", |uplink| !stands(uplink, &a)).await;
    until(&mut uplink, "another is tried", |_| a.dialled() + b.dialled() > 2).await;
}

/// Also while a session stands, and while none can be had: what is final is final, from any server.
#[tokio::test]
async fn an_agent_that_is_shut_out_hears_it_from_a_server_that_stands_by() {
    for leader_lives in [true, false] {
        let [a, b] = cluster(0).await;
        let mut uplink = uplink(&[&a, &b]);
        until(&mut uplink, "another stands by", |uplink| stands(uplink, &a) && has_standby(uplink)).await;
        let a = leader_lives.then_some(a);
        b.set(|view| view.shut_out = true);
        let began = Instant::now();
        let refused = until_or_refused(&mut uplink, "it is refused", |_| false).await;
        assert_eq!(refused.map(|refused| refused.message), Some("removed".to_owned()));
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
        drop(a);
    }
}

#[tokio::test]
async fn servers_that_name_each_other_are_not_asked_without_end() {
    let [a, b] = cluster(0).await;
    lead(&[&a, &b], 0, 1);
    a.set(|view| (view.leads, view.leader) = (false, Some(b.url.clone())));
    let mut uplink = uplink(&[&a, &b]);
    let began = Instant::now();
    until(&mut uplink, "a second passes", |_| began.elapsed() > Duration::from_secs(1)).await;
    let calls = a.dialled() + b.dialled();
    assert!((2..30).contains(&calls), "{calls} calls in a second");
}

#[tokio::test]
async fn a_single_server_is_all_there_is() {
    let [a] = cluster(0).await;
    let mut uplink = uplink(&[&a]);
    until(&mut uplink, "the session stands", |uplink| stands(uplink, &a)).await;
    until(&mut uplink, "no other server is looked for", |uplink| {
        matches!(uplink.standby.connection, Connection::Idle)
    })
    .await;
    assert_eq!(a.dialled(), 1);
    // The only timer is that of the heartbeat.
    assert_eq!(uplink.next_wake(true), uplink.session.next_beat());
    // A second one joins.
    let b = Server::start(2).await;
    let all = vec![a.url.clone(), b.url.clone()];
    b.set(|view| (view.leader, view.all) = (Some(a.url.clone()), all.clone()));
    a.set(|view| (view.all, view.term) = (all, 2));
    until(&mut uplink, "the second stands by", has_standby).await;
    assert_eq!(uplink.standby.url, b.url);
}

#[test]
fn only_what_carries_the_lease_on_counts_as_an_answer() {
    let mut heartbeat = Heartbeat::new(1_000, 0, Instant::now());
    for (deadline_ms, unanswered) in [(100, 0), (100, 1), (90, 2), (101, 0)] {
        heartbeat.unanswered += 1;
        heartbeat.granted(deadline_ms);
        assert_eq!(heartbeat.unanswered, unanswered, "{deadline_ms}");
    }
}
