//! What constraints mean, how they are read and shown, and which are refused.

use super::*;
use crate::limits;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn read(text: &str) -> Constraint {
    Constraint::parse("--constraint", text).unwrap()
}

#[test]
fn parses_shows_and_decides() {
    let c = read("zone in (a,b) && gpu.model==\"h100\" && !spot && os != win");
    assert_eq!(c.to_string(), "zone in (a,b) && gpu.model == h100 && !spot && os != win");
    assert_eq!(read(&c.to_string()), c);
    let mut node = labels(&[("zone", "b"), ("gpu.model", "h100")]);
    assert_eq!(c.broken(&node), None);
    node.insert("spot".into(), "yes".into());
    assert_eq!(c.broken(&node), Some(&Term::HasNot("spot".into())));
}

#[test]
fn shows_what_was_meant() {
    let shown = [
        ("zone = a", "zone == a"),
        ("zone in(a)", "zone == a"),
        ("zone not in ( a, b )", "zone not in (a,b)"),
        ("zone not in (a)", "zone != a"),
        ("in in (in) && not not in (not)", "in == in && not != not"),
        ("cuda>=012.40&&x< -3", "cuda >= 12.4 && x < -3"),
        ("((a || (b)) || c)", "a || b || c"),
        ("(a && b) && (c)", "a && b && c"),
        ("a && b || c", "(a && b) || c"),
        ("a && (b || c && (d || e))", "a && (b || (c && (d || e)))"),
        ("model == Tesla V100", "model == \"Tesla V100\""),
        ("model == \"a,(b)||c\"", "model == \"a,(b)||c\""),
    ];
    for (text, want) in shown {
        assert_eq!(read(text).to_string(), want, "{text}");
        assert_eq!(read(want), read(text), "{text}");
    }
}

#[test]
fn numbers_and_choices_decide() {
    let node = labels(&[("cuda", "12.4"), ("disk", "80GB"), ("zone", "b")]);
    for good in
        ["cuda >= 12.4", "cuda > 9", "cuda < 12.40001", "zone == a || cuda <= 12.4", "zone not in (a,c)"]
    {
        assert_eq!(read(good).broken(&node), None, "{good}");
    }
    // What is missing or no number breaks each comparison.
    for bad in ["cuda > 12.4", "disk > 0", "disk <= 100", "memory < 5", "zone == a || cuda > 13"] {
        assert_eq!(read(bad).broken(&node).map(ToString::to_string).as_deref(), Some(bad));
    }
    let term = read("!spot && (zone == a || (cuda > 13 && ssd))");
    assert_eq!(
        term.broken(&node).unwrap().to_string(),
        "zone == a || (cuda > 13 && ssd)",
        "the whole choice"
    );
}

#[test]
fn refuses_what_cannot_be_read() {
    let bad =
        ["", "zone in a", "zone ==", "a b", "a && ", "zone == (a)", "a || ", "(a", "a)", "()", "!(a || b)"];
    let more = [
        "a not b",
        "a in ()",
        "a in (b",
        "a == b == c",
        "x < y",
        "x < 1 < 2",
        "x > 1e3",
        "a & b",
        "Zone == a",
    ];
    for bad in bad.iter().chain(&more) {
        let error = Constraint::parse("--constraint", bad).unwrap_err();
        assert_eq!(error.field, "--constraint", "{bad}");
    }
    let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Constraint::parse("c", &deep).unwrap_err().remedy.contains("parentheses"));
    let many = vec!["a"; limits::CONSTRAINT_TERMS_MAX + 1].join(" || ");
    assert!(Constraint::parse("c", &many).unwrap_err().remedy.contains("at most 16"));
    assert!(Constraint::parse("c", "x > big").unwrap_err().remedy.contains("\"big\" is not a number"));
    assert!(Constraint::parse("c", "a && b c").unwrap_err().remedy.contains("syntax error at \"c\""));
}

#[test]
fn names_the_terms_that_exclude_each_other() {
    let said = [
        ("zone == a && ssd && zone == b", "\"zone == a\" and \"zone == b\" contradict each other"),
        ("x > 5 && x < 3", "\"x > 5\" and \"x < 3\" contradict"),
        ("x > 5 && x <= 5", "\"x > 5\" and \"x <= 5\" contradict"),
        ("zone == a && zone != a", "\"zone == a\" and \"zone != a\" contradict"),
        ("ssd && !ssd", "\"ssd\" and \"!ssd\" contradict"),
        ("x > 1 && !x", "\"x > 1\" and \"!x\" contradict"),
        ("x in (1,2) && x >= 3", "\"x in (1,2)\" and \"x >= 3\" contradict"),
        ("x == a && x > 3", "\"x == a\" and \"x > 3\" contradict"),
        ("z in (a,b) && z != a && z != b", "\"z in (a,b)\", \"z != a\" and \"z != b\" contradict"),
        ("z == a && (z == b || z == c)", "\"z == a\" and \"z == b || z == c\" contradict"),
        ("(z == a && z == b) || (x < 1 && x > 1)", "no node can meet"),
    ];
    for (text, want) in said {
        let error = Constraint::parse("constraint", text).unwrap_err();
        assert!(error.remedy.contains(want), "{text}: {error}");
    }
    for fine in [
        "x >= 5 && x <= 5 && x != 5",
        "x > 5 && x < 5.001",
        "zone == a || zone == b",
        "z == a && (z == b || z == a)",
    ] {
        read(fine);
    }
}

#[test]
fn what_was_written_before_is_still_read() {
    // [0, ["zone", ["a", "b"]]], [3, ["spot"]]: bytes of a log from before there were choices.
    let old = [
        0x82, 0x82, 0, 0x82, 0x64, b'z', b'o', b'n', b'e', 0x82, 0x61, b'a', 0x61, b'b', 0x82, 3, 0x81, 0x64,
        b's', b'p', b'o', b't',
    ];
    let c: Constraint = minicbor::decode(&old).unwrap();
    assert_eq!(c, read("zone in (a,b) && !spot"));
    assert_eq!(minicbor::to_vec(&c).unwrap(), old);
}

const VALUES: [&str; 6] = ["a", "b c", "1", "2.0", "-3", "x,(y)"];
/// Values that tell apart all constraints made of those above and of the numbers below.
const CANDIDATES: [&str; 16] =
    ["a", "b c", "1", "2.0", "-3", "x,(y)", "other", "-9", "-3.0", "0", "1.0", "1.5", "2", "2.00", "9", "-2"];

fn any_test() -> impl Strategy<Value = Term> {
    let key = || prop::sample::select(vec!["k", "l.m"]).prop_map(str::to_owned);
    let values =
        || prop::collection::vec(prop::sample::select(VALUES.to_vec()).prop_map(str::to_owned), 1..3);
    let sign =
        [CompareOperator::Below, CompareOperator::AtMost, CompareOperator::Above, CompareOperator::AtLeast];
    let number = prop::sample::select(vec!["-3", "1", "2"]).prop_map(str::to_owned);
    prop_oneof![
        (key(), values()).prop_map(|(k, v)| Term::In(k, v)),
        (key(), values()).prop_map(|(k, v)| Term::NotIn(k, v)),
        key().prop_map(Term::Has),
        key().prop_map(Term::HasNot),
        (key(), prop::sample::select(sign.to_vec()), number).prop_map(|(k, s, n)| Term::Compare(k, s, n)),
    ]
}

/// Written out with parentheses everywhere, and not as `Display` would.
#[derive(Clone, Debug)]
enum Tree {
    Test(Term),
    All(Vec<Tree>),
    Any(Vec<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        let join = |trees: &[Tree], sign| trees.iter().map(Tree::text).collect::<Vec<_>>().join(sign);
        match self {
            Tree::Test(term) => term.to_string(),
            Tree::All(trees) => format!("({})", join(trees, "&&")),
            Tree::Any(trees) => format!("( {} )", join(trees, " || ")),
        }
    }

    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Tree::Test(term) => simply(term, labels),
            Tree::All(trees) => trees.iter().all(|tree| tree.holds(labels)),
            Tree::Any(trees) => trees.iter().any(|tree| tree.holds(labels)),
        }
    }
}

/// What a test means, said once more: numbers of these lengths are exact in binary.
fn simply(term: &Term, labels: &Labels) -> bool {
    let value = |key: &String| labels.get(key).map(String::as_str);
    match term {
        Term::In(key, values) => values.iter().any(|v| value(key) == Some(v)),
        Term::NotIn(key, values) => values.iter().all(|v| value(key) != Some(v)),
        Term::Has(key) => value(key).is_some(),
        Term::HasNot(key) => value(key).is_none(),
        Term::Compare(key, sign, number) => {
            let thousandths = |text: &str| -> Option<i64> {
                let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
                let part: i64 = format!("{part:0<3}").parse().ok()?;
                let whole: i64 = whole.parse().ok()?;
                Some(whole * 1_000 + part)
            };
            let pair = value(key).and_then(thousandths).zip(thousandths(number));
            pair.is_some_and(|(value, number)| match sign {
                CompareOperator::Below => value < number,
                CompareOperator::AtMost => value <= number,
                CompareOperator::Above => value > number,
                CompareOperator::AtLeast => value >= number,
            })
        }
        Term::Any(_) => unreachable!("a test is no choice"),
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    any_test().prop_map(Tree::Test).prop_recursive(4, 12, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![some().prop_map(Tree::All), some().prop_map(Tree::Any)]
    })
}

fn all_labels() -> Vec<Labels> {
    let values: Vec<Option<&str>> = CANDIDATES.iter().copied().map(Some).chain([None]).collect();
    let with = |k: Option<&'static str>, l: Option<&'static str>| {
        let pairs: Vec<(&str, &str)> =
            [("k", k), ("l.m", l)].into_iter().filter_map(|(key, v)| Some((key, v?))).collect();
        labels(&pairs)
    };
    values.iter().flat_map(|k| values.iter().map(move |l| with(*k, *l))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// It decides as the tree does that was written, is refused exactly if no labels meet it, and comes back the same from its text and bytes.
    #[test]
    fn it_means_what_was_written(tree in any_tree()) {
        let text = tree.text();
        let all = all_labels();
        match Constraint::parse("c", &text) {
            Err(error) if error.remedy.contains("at most 16") => {}
            Err(error) => prop_assert!(!all.iter().any(|labels| tree.holds(labels)), "{error}"),
            Ok(constraint) => {
                prop_assert!(all.iter().any(|labels| tree.holds(labels)), "{text} is contradictory");
                for labels in &all {
                    prop_assert_eq!(constraint.broken(labels).is_none(), tree.holds(labels), "{} {:?}", text, labels);
                }
                prop_assert_eq!(&Constraint::parse("c", &constraint.to_string()).unwrap(), &constraint);
                let bytes = minicbor::to_vec(&constraint).unwrap();
                prop_assert_eq!(minicbor::decode::<Constraint>(&bytes).unwrap(), constraint);
            }
        }
    }
}
