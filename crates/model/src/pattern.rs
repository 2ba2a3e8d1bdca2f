//! Path patterns: `%{job} %{task} %{attempt} %{node} %{name}`. An unknown pattern is an error, never text.

use crate::Invalid;

/// Values for the patterns of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The job's id.
    pub job: u64,
    /// The task's number as users see it.
    pub task: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Name of the node it runs on.
    pub node: &'a str,
    /// Name of the job.
    pub name: &'a str,
}

const KNOWN: &str = "%{job} %{task} %{attempt} %{node} %{name}";

/// Checks that `text` has only known patterns. `%%` is a percent sign.
pub fn check(field: &str, text: &str) -> Result<(), Invalid> {
    let values = Values { job: 0, task: 0, attempt: 0, node: "", name: "" };
    replace(text, &values).map(drop).map_err(|unknown| {
        Invalid::new(field, text, format!("unknown pattern {unknown}; use {KNOWN}, or %% for a percent sign"))
    })
}

/// Fills the patterns of a checked text; an unknown one stays as it is.
pub fn fill(text: &str, values: &Values<'_>) -> String {
    replace(text, values).unwrap_or_else(|_| text.to_owned())
}

fn replace(text: &str, values: &Values<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("%%") {
            out.push('%');
            rest = tail;
            continue;
        }
        let end = rest.find('}').filter(|_| rest.starts_with("%{"));
        let Some(end) = end else { return Err(rest.chars().take(12).collect()) };
        match &rest[2..end] {
            "job" => out.push_str(&values.job.to_string()),
            "task" => out.push_str(&values.task.to_string()),
            "attempt" => out.push_str(&values.attempt.to_string()),
            "node" => out.push_str(values.node),
            "name" => out.push_str(&file_name(values.name)),
            _ => return Err(rest[..=end].to_owned()),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A job's name as a part of a path: one that holds a slash leads nowhere else, and one that is long still fits.
fn file_name(name: &str) -> String {
    /// A part of a path has at most 255 bytes, and this one is not all of it.
    const BYTES_MAX: usize = 128;
    let mut file = name.replace('/', "_");
    file.truncate(file.floor_char_boundary(BYTES_MAX));
    // `.` and `..` are directories, and what begins so is hidden.
    if file.starts_with('.') {
        file.replace_range(..1, "_");
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part_of_a_path() {
        let named =
            |name: &str| fill("d/%{name}.out", &Values { job: 1, task: 1, attempt: 1, node: "n", name });
        assert_eq!(named("Train v2"), "d/Train v2.out");
        assert_eq!(named("../../etc/x"), "d/_._.._etc_x.out");
        assert_eq!(named(".."), "d/_..out");
        assert_eq!(named("100%{job}"), "d/100%{job}.out", "what a name holds is no pattern");
        assert_eq!(named(&"é".repeat(128)).len(), 128 + "d/.out".len());
    }

    #[test]
    fn fills_and_refuses() {
        let v = Values { job: 7, task: 3, attempt: 2, node: "n1", name: "train" };
        assert_eq!(fill("out/%{name}-%{job}.%{task}-%{attempt}@%{node}%%", &v), "out/train-7.3-2@n1%");
        for bad in ["%{jobb}", "%j", "%", "%{job"] {
            let error = check("--stdout", bad).unwrap_err();
            assert!(error.remedy.contains("%{job}"), "{error}");
        }
        assert!(check("--stdout", "plain/path").is_ok());
    }
}
