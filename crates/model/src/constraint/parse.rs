//! Reading a constraint as users write it.

use super::{CompareOperator, Constraint, Term, contradiction, number};
use crate::{Invalid, limits, validate};

const FORM: &str = "write tests as zone == a, zone != a, zone in (a,b), zone not in (a,b), cuda >= 12.4, ssd or !ssd, \
                    joined by && and ||, with parentheses";

/// Signs of two tests that compare, the longer ones first.
const SIGNS: [(&str, Sign); 7] = [
    ("==", Sign::Is),
    ("!=", Sign::IsNot),
    ("<=", Sign::Compares(CompareOperator::AtMost)),
    (">=", Sign::Compares(CompareOperator::AtLeast)),
    ("<", Sign::Compares(CompareOperator::Below)),
    (">", Sign::Compares(CompareOperator::Above)),
    ("=", Sign::Is),
];

#[derive(Clone, Copy)]
enum Sign {
    Is,
    IsNot,
    Compares(CompareOperator),
}

impl Constraint {
    /// Parses tests of labels joined by `&&` and `||`: `zone in (a,b) && (gpu.model == h100 || gpu.memory >= 80) && !spot`. What could hold for no
    /// node whatever its labels is refused, with the terms that exclude each other.
    pub fn parse(field: &str, text: &str) -> Result<Constraint, Invalid> {
        let mut reader = Reader { field, text, rest: text, depth: 0 };
        let constraint = reader.either()?;
        reader.blank();
        if !reader.rest.is_empty() {
            return Err(reader.bad());
        }
        if constraint.tests() > limits::CONSTRAINT_TERMS_MAX {
            let remedy = format!("{} terms; at most {}", constraint.tests(), limits::CONSTRAINT_TERMS_MAX);
            return Err(Invalid::new(field, text, remedy));
        }
        match contradiction::within(&constraint) {
            Some(terms) => Err(Invalid::new(field, text, remedy(&terms))),
            None => Ok(constraint),
        }
    }
}

/// Whether a value can stand in a constraint without quotes.
pub(super) fn is_plain(value: &str) -> bool {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '+' | '@' | '%');
    !value.is_empty() && value.chars().all(plain)
}

fn remedy(terms: &[&Term]) -> String {
    let shown: Vec<String> = terms.iter().map(|term| format!("\"{term}\"")).collect();
    match shown.split_last() {
        Some((one, [])) => format!("no node can meet {one}: change it, or leave it out"),
        Some((last, others)) => {
            let others = others.join(", ");
            format!("{others} and {last} contradict each other: leave one out, or write || for either")
        }
        None => FORM.to_owned(),
    }
}

/// What of a text has not been read yet.
struct Reader<'a> {
    field: &'a str,
    text: &'a str,
    rest: &'a str,
    /// Open parentheses.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Conjunctions joined by `||`. A choice within a choice is part of it, and one with a single alternative is none.
    fn either(&mut self) -> Result<Constraint, Invalid> {
        let mut choices = Vec::new();
        loop {
            let mut choice = self.all()?;
            match choice.0.as_mut_slice() {
                [Term::Any(inner)] => choices.append(inner),
                _ => choices.push(choice),
            }
            if !self.takes("||") {
                break;
            }
        }
        match choices.pop() {
            Some(only) if choices.is_empty() => Ok(only),
            Some(last) => {
                choices.push(last);
                Ok(Constraint(vec![Term::Any(choices)]))
            }
            None => Err(self.bad()),
        }
    }

    /// Tests, or expressions in parentheses, joined by `&&`.
    fn all(&mut self) -> Result<Constraint, Invalid> {
        let mut terms = Vec::new();
        loop {
            if self.takes("(") {
                self.depth += 1;
                if self.depth > limits::CONSTRAINT_TERMS_MAX {
                    let remedy = format!("at most {} nested parentheses", limits::CONSTRAINT_TERMS_MAX);
                    return Err(Invalid::new(self.field, self.text, remedy));
                }
                terms.append(&mut self.either()?.0);
                self.needs(")")?;
                self.depth -= 1;
            } else {
                terms.push(self.test()?);
            }
            if !self.takes("&&") {
                return Ok(Constraint(terms));
            }
        }
    }

    fn test(&mut self) -> Result<Term, Invalid> {
        if self.takes("!") {
            return Ok(Term::HasNot(self.key()?));
        }
        let key = self.key()?;
        if let Some((_, sign)) = SIGNS.iter().find(|(sign, _)| self.takes(sign)) {
            let value = self.value()?;
            return Ok(match sign {
                Sign::Is => Term::In(key, vec![value]),
                Sign::IsNot => Term::NotIn(key, vec![value]),
                Sign::Compares(comparison) => Term::Compare(key, *comparison, self.number(&value)?),
            });
        }
        match (self.takes_word("not"), self.takes_word("in")) {
            (false, false) => Ok(Term::Has(key)),
            (false, true) => Ok(Term::In(key, self.list()?)),
            (true, true) => Ok(Term::NotIn(key, self.list()?)),
            (true, false) => Err(self.bad()),
        }
    }

    fn key(&mut self) -> Result<String, Invalid> {
        self.blank();
        let end = self.rest.find(|c: char| c.is_whitespace() || "=!<>()&|,\"".contains(c));
        let (key, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        validate::name(self.field, key).map_err(|_| self.bad())?;
        self.rest = rest;
        Ok(key.to_owned())
    }

    /// A value: in quotes anything but a quote, without them what is not part of the language. Blanks within it belong to it.
    fn value(&mut self) -> Result<String, Invalid> {
        self.blank();
        let (value, rest) = match self.rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| self.bad())?,
            None => {
                let end = self.rest.find(|c| "=<>()&|,\"".contains(c)).unwrap_or(self.rest.len());
                self.rest.split_at(end)
            }
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(self.bad());
        }
        self.rest = rest;
        Ok(value.to_owned())
    }

    fn number(&self, value: &str) -> Result<String, Invalid> {
        number::canonical(value).ok_or_else(|| {
            let remedy = format!("\"{value}\" is not a number: < <= > >= compare numbers such as 80 or 12.4");
            Invalid::new(self.field, self.text, remedy)
        })
    }

    fn list(&mut self) -> Result<Vec<String>, Invalid> {
        self.needs("(")?;
        let mut values = vec![self.value()?];
        while self.takes(",") {
            values.push(self.value()?);
        }
        self.needs(")")?;
        Ok(values)
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.blank();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A word ends where a name would.
    fn takes_word(&mut self, word: &str) -> bool {
        self.blank();
        let rest = self
            .rest
            .strip_prefix(word)
            .filter(|rest| rest.starts_with(|c: char| c.is_whitespace() || c == '('));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn needs(&mut self, sign: &str) -> Result<(), Invalid> {
        if self.takes(sign) { Ok(()) } else { Err(self.bad()) }
    }

    fn bad(&self) -> Invalid {
        let at = self.rest.trim_start();
        let remedy = match (at.is_empty(), at.len() == self.text.trim_start().len()) {
            (true, _) => format!("the end is missing: {FORM}"),
            (false, true) => FORM.to_owned(),
            (false, false) => format!("syntax error at \"{at}\": {FORM}"),
        };
        Invalid::new(self.field, self.text, remedy)
    }
}
