//! Tests of the rules.

use super::*;

fn user(grants: &[(&str, Role)]) -> Identity {
    let grants =
        grants.iter().map(|&(namespace, role)| Grant { namespace: namespace.into(), role }).collect();
    Identity { grants, ..Identity::test(Who::Holder(CredentialKind::User)) }
}

/// The least role that may, in the object's namespace, for another's object and for one's own.
fn least(verb: Verb, kind: ObjectKind) -> [Option<Role>; 2] {
    [false, true].map(|own| match need(verb, kind, own) {
        Requirement::Role(role) | Requirement::SomewhereRole(role) => Some(role),
        _ => None,
    })
}

#[test]
fn the_table_is_what_the_guide_says() {
    use Role::{Admin, Operator, Submitter, Viewer};
    let mut rows = Vec::new();
    for verb in Verb::ALL {
        for kind in ObjectKind::ALL {
            if let [Some(others), Some(own)] = least(verb, kind) {
                rows.push((verb.name(), kind.name(), others, own));
            }
        }
    }
    let expected = [
        ("view", "job", Viewer, Viewer),
        ("view", "log", Viewer, Viewer),
        ("view", "event", Viewer, Viewer),
        ("view", "node", Viewer, Viewer),
        ("view", "queue", Viewer, Viewer),
        ("view", "pool", Viewer, Viewer),
        ("view", "retention", Viewer, Viewer),
        ("view", "cluster", Viewer, Viewer),
        ("view", "metrics", Viewer, Viewer),
        ("view", "server", Viewer, Viewer),
        ("view", "backup", Admin, Admin),
        ("submit", "job", Submitter, Submitter),
        ("retry", "job", Submitter, Submitter),
        ("cancel", "job", Operator, Submitter),
        ("hold", "job", Operator, Submitter),
        ("release", "job", Operator, Submitter),
        ("update", "job", Operator, Submitter),
        ("update", "server", Admin, Admin),
        ("drain", "node", Operator, Operator),
        ("resume", "node", Operator, Operator),
        ("set", "node", Operator, Operator),
        ("set", "queue", Operator, Operator),
        ("set", "pool", Operator, Operator),
        ("set", "share", Operator, Operator),
        ("set", "retention", Admin, Admin),
        ("create", "namespace", Admin, Admin),
        ("create", "token", Admin, Admin),
        ("create", "backup", Admin, Admin),
        ("remove", "node", Admin, Admin),
        ("remove", "queue", Operator, Operator),
        ("remove", "pool", Operator, Operator),
        ("remove", "server", Admin, Admin),
        ("transfer", "server", Admin, Admin),
        ("verify", "backup", Admin, Admin),
    ];
    assert_eq!(rows, expected);
    assert_eq!(least(Verb::Revoke, ObjectKind::Token), [Some(Admin), None], "one's own needs no role");
    assert_eq!(need(Verb::Revoke, ObjectKind::Token, true), Requirement::User);
    for kind in [ObjectKind::Share, ObjectKind::Usage] {
        assert_eq!(need(Verb::View, kind, false), Requirement::Role(Viewer));
        assert_eq!(need(Verb::View, kind, true), Requirement::User);
    }
}

#[test]
fn a_role_counts_in_its_namespace() {
    let job = |own| Object { own, ..Object::new(ObjectKind::Job, "7") };
    let check = |grants: &[(&str, Role)], verb, namespace: &str, own, may: bool| {
        let result = allows(&user(grants), verb, namespace, &job(own));
        assert_eq!(result.is_ok(), may, "{grants:?} {verb:?} {namespace} {own}");
    };
    use Role::{Admin, Operator, Submitter, Viewer};
    check(&[("a", Viewer)], Verb::View, "a", false, true);
    check(&[("a", Admin)], Verb::View, "b", false, false);
    check(&[("a", Admin), ("b", Viewer)], Verb::Cancel, "b", true, false);
    check(&[("*", Viewer)], Verb::View, "b", false, true);
    check(&[("a", Submitter)], Verb::Cancel, "a", true, true);
    check(&[("a", Submitter)], Verb::Cancel, "a", false, false);
    check(&[("a", Operator)], Verb::Cancel, "a", false, true);
    check(&[], Verb::View, "a", true, false);
    let node = Object::new(ObjectKind::Node, "n1");
    assert!(allows(&user(&[("a", Submitter)]), Verb::View, EVERYWHERE, &node).is_ok());
    assert!(allows(&user(&[]), Verb::View, EVERYWHERE, &node).is_err());
    assert!(allows(&user(&[("a", Admin)]), Verb::Drain, EVERYWHERE, &node).is_err());
    assert!(allows(&user(&[("*", Operator)]), Verb::Drain, EVERYWHERE, &node).is_ok());
}

#[test]
fn no_kind_of_credential_does_the_work_of_another() {
    let mut cells = 0;
    for verb in Verb::ALL {
        for kind in ObjectKind::ALL {
            let object = Object { own: true, ..Object::new(kind, "") };
            let may = |who: &Identity| allows(who, verb, EVERYWHERE, &object).is_ok();
            let agent = may(&Identity::test(Who::Holder(CredentialKind::Agent)));
            let joining = may(&Identity::test(Who::Joining(CredentialKind::Server)));
            assert_eq!(
                joining,
                (verb, kind) == (Verb::Create, ObjectKind::Certificate)
                    || (verb, kind) == (Verb::View, ObjectKind::Health)
            );
            let server = may(&Identity::test(Who::Holder(CredentialKind::Server)));
            assert_eq!(
                agent,
                kind == ObjectKind::Session && verb == Verb::Connect
                    || (verb, kind) == (Verb::View, ObjectKind::Health)
                    || (verb, kind) == (Verb::Create, ObjectKind::Certificate)
            );
            let of_servers = [
                (Verb::View, ObjectKind::Health),
                (Verb::Create, ObjectKind::Server),
                (Verb::Connect, ObjectKind::Peer),
            ];
            assert_eq!(server, of_servers.contains(&(verb, kind)), "{verb:?} {kind:?}");
            assert!(!may(&user(&[("*", Role::Admin)])) || kind != ObjectKind::Session);
            cells += 4;
        }
    }
    assert_eq!(cells, 16 * 21 * 4);
}

#[test]
fn refusals_name_verb_object_and_role() {
    let object = Object::new(ObjectKind::Job, "7");
    let denied = allows(&user(&[("a", Role::Viewer)]), Verb::Cancel, "a", &object).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "you may not cancel job 7: that needs the role operator in the namespace a"
    );
    let denied = allows_somewhere(&user(&[("a", Role::Viewer)]), Verb::Submit, ObjectKind::Job).unwrap_err();
    assert_eq!(denied.to_string(), "you may not submit jobs: that needs the role submitter in a namespace");
    let denied = allows_somewhere(&user(&[("a", Role::Viewer)]), Verb::Cancel, ObjectKind::Job).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "you may not cancel jobs: that needs the role submitter in its namespace, or operator where it is another user's"
    );
    let cluster = Object::new(ObjectKind::Cluster, "");
    let denied = allows(&user(&[]), Verb::View, EVERYWHERE, &cluster).unwrap_err();
    assert!(
        denied.to_string().starts_with("you may not view the cluster: that needs the role viewer"),
        "{denied}"
    );
    let session = Object::new(ObjectKind::Session, "");
    let denied = allows(&user(&[("*", Role::Admin)]), Verb::Connect, EVERYWHERE, &session).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "you may not open the session of an agent: that needs the credential of an agent"
    );
}
