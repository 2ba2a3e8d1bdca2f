//! Namespaces and tokens through `apply`, and what an older version wrote.

use minicbor::bytes::ByteArray;
use taskyard_model::{CredentialKind, Grant, JobId, JobSpec, Namespace, Role, limits};
use taskyard_state::{Command, Entry, NewToken, Rejection, Reply, State, Submit};

#[derive(Default)]
struct World {
    state: State,
    now_ms: u64,
}

impl World {
    fn apply(&mut self, command: Command) -> Reply {
        let entry = Entry { now_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms, command };
        let reply = self.state.apply(self.state.index() + 1, &entry).reply;
        let mut bytes = Vec::new();
        self.state.freeze().write(&mut bytes).unwrap();
        let again = State::read_snapshot(&mut bytes.as_slice(), None).unwrap();
        assert_eq!(again.digest(), self.state.digest(), "a snapshot reads back to the same state");
        reply
    }

    fn token(&mut self, id: &str, life_ms: Option<u64>) -> Reply {
        self.apply(Command::CreateToken(Box::new(new_token(id, life_ms))))
    }

    fn until(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.apply(Command::Pulse);
    }
}

fn new_token(id: &str, life_ms: Option<u64>) -> NewToken {
    NewToken {
        id: id.into(),
        hash: ByteArray::from([7; 32]),
        user: "ann".into(),
        label: String::new(),
        kind: CredentialKind::User,
        grants: vec![Grant { namespace: "*".into(), role: Role::Admin }],
        life_ms,
        created_by: "root".into(),
        only_first: false,
        join: false,
        uses: 0,
    }
}

fn submit(namespace: &str, owner: &str) -> Command {
    let namespace = Namespace::parse("namespace", namespace).unwrap();
    let spec = JobSpec { namespace, ..JobSpec::command(vec!["true".into()]) };
    Command::Submit(Box::new(Submit { spec, owner: owner.into(), request_id: "k".into(), retry_of: None }))
}

#[test]
fn a_token_expires_is_revoked_and_is_forgotten() {
    let mut w = World::default();
    assert_eq!(w.token("a", Some(1_000)), Reply::Done);
    assert_eq!(w.token("a", None), Reply::Rejected(Rejection::TokenExists("a".into())));
    assert_eq!(w.token("b", None), Reply::Done);
    assert_eq!(w.token("c", Some(1_000)), Reply::Done);
    let good = |w: &World, id: &str| {
        let token = w.state.token(id).unwrap();
        !token.is_expired(w.state.now_ms()) && !token.is_revoked()
    };
    w.until(999);
    assert!(good(&w, "a") && good(&w, "b") && good(&w, "c"));
    assert_eq!(w.apply(Command::RevokeToken { id: "c".into() }), Reply::Done);
    assert!(!good(&w, "c"));
    w.until(1_000);
    assert!(!good(&w, "a"), "its life is over at its end, not after it");
    assert_eq!(w.state.token("a").unwrap().expires_wall_ms, Some(1_001_000));
    w.until(999 + limits::TOKEN_KEPT_MS);
    assert!(w.state.token("c").is_none() && w.state.token("a").is_some());
    w.until(1_000 + limits::TOKEN_KEPT_MS);
    assert!(w.state.token("a").is_none() && good(&w, "b"), "one without an end stays");
    assert_eq!(
        w.apply(Command::RevokeToken { id: "a".into() }),
        Reply::Rejected(Rejection::NoToken("a".into()))
    );
    assert_eq!(w.state.tokens_made(), 3);
}

#[test]
fn a_token_to_join_with_is_used_as_often_as_it_says() {
    let mut w = World::default();
    let make = |id: &str| NewToken { join: true, uses: 1, ..new_token(id, Some(1_000)) };
    assert_eq!(w.apply(Command::CreateToken(Box::new(make("a")))), Reply::Done);
    let using = |id: &str, key: u8| Command::UseToken { id: id.into(), key: ByteArray::from([key; 32]) };
    let used = Reply::Used { at: w.state.index() + 1 };
    assert_eq!(w.apply(using("a", 1)), used);
    assert_eq!(w.apply(using("a", 1)), used, "the answer may have been lost");
    assert_eq!(w.apply(using("a", 2)), Reply::Rejected(Rejection::TokenUsed("a".into())));
    let many = NewToken { uses: 3, ..make("many") };
    assert_eq!(w.apply(Command::CreateToken(Box::new(many))), Reply::Done);
    let first = w.state.index() + 1;
    for key in [1, 2, 1, 3, 2] {
        assert!(matches!(w.apply(using("many", key)), Reply::Used { .. }), "key {key}");
    }
    assert_eq!(w.apply(using("many", 4)), Reply::Rejected(Rejection::TokenUsed("many".into())));
    assert_eq!(w.apply(using("many", 2)), Reply::Used { at: first + 1 }, "each machine keeps its own time");
    // One that is no good, or good for something else.
    assert_eq!(w.apply(Command::CreateToken(Box::new(make("b")))), Reply::Done);
    w.apply(Command::RevokeToken { id: "b".into() });
    assert_eq!(w.token("c", None), Reply::Done);
    for id in ["b", "c", "d"] {
        assert_eq!(w.apply(using(id, 1)), Reply::Rejected(Rejection::NoToken(id.into())));
    }
    w.until(1_000);
    assert_eq!(w.apply(using("a", 1)), Reply::Rejected(Rejection::NoToken("a".into())));
}

#[test]
fn the_first_token_is_made_once() {
    let mut w = World::default();
    let first =
        |id: &str| Command::CreateToken(Box::new(NewToken { only_first: true, ..new_token(id, Some(1)) }));
    assert_eq!(w.apply(first("a")), Reply::Done);
    assert_eq!(w.apply(first("b")), Reply::Rejected(Rejection::NotFirstToken));
    w.until(1 + limits::TOKEN_KEPT_MS);
    assert_eq!(w.state.tokens().count(), 0);
    assert_eq!(w.apply(first("b")), Reply::Rejected(Rejection::NotFirstToken), "although none is left");
}

#[test]
fn namespaces_are_made_before_they_are_used() {
    let mut w = World::default();
    let missing = Reply::Rejected(Rejection::NoNamespace("team-a".into()));
    assert_eq!(w.apply(submit("team-a", "ann")), missing);
    let mut granted = new_token("a", None);
    granted.grants[0].namespace = "team-a".into();
    assert_eq!(w.apply(Command::CreateToken(Box::new(granted.clone()))), missing);
    let before = w.state.digest();
    let create = Command::CreateNamespace { name: "team-a".into() };
    assert_eq!(w.apply(create.clone()), Reply::Done);
    assert_ne!(w.state.digest(), before);
    assert_eq!(w.apply(create), Reply::Done, "once more is no mistake");
    assert_eq!(w.state.namespaces().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["default", "team-a"]);
    assert_eq!(w.apply(Command::CreateToken(Box::new(granted))), Reply::Done);
    assert_eq!(
        w.apply(submit("team-a", "ann")),
        Reply::Submitted { job: JobId(1), tasks: 1, duplicate: false }
    );
}

#[test]
fn a_request_id_is_of_its_namespace() {
    let mut w = World::default();
    w.apply(Command::CreateNamespace { name: "team-a".into() });
    let job = |reply| if let Reply::Submitted { job, .. } = reply { job.0 } else { 0 };
    assert_eq!(job(w.apply(submit("default", "ann"))), 1);
    assert_eq!(job(w.apply(submit("team-a", "ann"))), 2);
    assert_eq!(job(w.apply(submit("team-a", "ann"))), 2);
    assert_eq!(job(w.apply(submit("default", "ann"))), 1);
}

#[test]
fn namespaces_and_tokens_are_bounded() {
    let mut state = State::new();
    let mut apply = |command| {
        let entry = Entry { now_ms: 0, wall_ms: 0, command };
        state.apply(state.index() + 1, &entry).reply
    };
    for n in 1..limits::NAMESPACES_MAX {
        assert_eq!(apply(Command::CreateNamespace { name: format!("n{n}") }), Reply::Done);
    }
    let most = limits::NAMESPACES_MAX as u64;
    let past = apply(Command::CreateNamespace { name: "one-more".into() });
    assert_eq!(past, Reply::Rejected(Rejection::Limit("namespaces", most)));
    for n in 0..limits::TOKENS_MAX {
        assert_eq!(apply(Command::CreateToken(Box::new(new_token(&n.to_string(), None)))), Reply::Done);
    }
    let past = apply(Command::CreateToken(Box::new(new_token("one-more", None))));
    assert_eq!(past, Reply::Rejected(Rejection::Limit("tokens", limits::TOKENS_MAX as u64)));
}
