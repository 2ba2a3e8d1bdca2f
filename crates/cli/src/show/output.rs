//! Where results go, and in which format. Results are on standard output, everything said about them on standard error.

use super::Table;
use crate::exit::{Failure, STANDARD_OUTPUT};
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Write};
use taskyard_client::api::Invalid;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Ids or names, one a line.
    Ids,
}

/// Which columns of a table are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Those that matter, as far as they fit.
    #[default]
    Usual,
    /// All, however wide the terminal is.
    Wide,
    /// These, in this order.
    Chosen(Vec<String>),
}

/// What `--output` and `--columns` say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presentation {
    pub(crate) format: Format,
    pub(crate) columns: Columns,
}

impl Presentation {
    /// Reads both. `submits` says that the command runs something, so that a path is likely to be meant for its output.
    pub(crate) fn parse(
        output: Option<&str>,
        columns: Option<&str>,
        submits: bool,
    ) -> Result<Presentation, Invalid> {
        let known = "formats are table, wide, json, jsonl and ids";
        let format = match output {
            None | Some("table" | "wide") => Format::Table,
            Some("json") => Format::Json,
            Some("jsonl") => Format::Jsonl,
            Some("ids") => Format::Ids,
            Some(path) if submits => {
                let remedy =
                    format!("{known}; for the file of the tasks' standard output use --stdout {path}");
                return Err(Invalid::new("--output", path, remedy));
            }
            Some(other) => return Err(Invalid::new("--output", other, known)),
        };
        let columns = match columns {
            None if output == Some("wide") => Columns::Wide,
            None => Columns::Usual,
            Some(names) if format != Format::Table => {
                return Err(Invalid::new("--columns", names, "only tables have columns; leave out --output"));
            }
            Some(names) => Columns::Chosen(names.split(',').map(|name| name.trim().to_owned()).collect()),
        };
        Ok(Presentation { format, columns })
    }
}

/// Standard output of a command, in one format.
pub(crate) struct Out {
    /// The format.
    pub(crate) format: Format,
    writer: Box<dyn Write + Send>,
    /// Whether a person reads it: then long names are cut.
    pub(crate) is_terminal: bool,
    /// Columns of the terminal.
    pub(crate) columns: usize,
    /// Columns of tables.
    pub(crate) choice: Columns,
    document: JsonList,
    written: bool,
}

impl Out {
    /// That of this process, with colours where they are wanted.
    pub(crate) fn of_process(look: Presentation) -> Out {
        let is_terminal = io::stdout().is_terminal();
        let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { 100 } else { columns };
        Out {
            format: look.format,
            writer: Box::new(BufWriter::new(anstream::AutoStream::auto(io::stdout()))),
            is_terminal,
            columns,
            choice: look.columns,
            document: JsonList::None,
            written: false,
        }
    }

    /// One that writes elsewhere, as wide as it is told.
    #[cfg(test)]
    pub(crate) fn of(format: Format, writer: Box<dyn Write + Send>, columns: usize) -> Out {
        Out {
            format,
            writer,
            is_terminal: true,
            columns,
            choice: Columns::Usual,
            document: JsonList::None,
            written: false,
        }
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.written = true;
        self.writer.write_all(text.as_bytes()).map_err(Failure::io(STANDARD_OUTPUT))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes a value as JSON: on one line for `jsonl`. For `json` all values of a command make one document: a
    /// single one stands alone, several make a list, so the first is kept until it is known which.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let failed = |e: serde_json::Error| Failure::io(STANDARD_OUTPUT)(e.into());
        if self.format != Format::Json {
            return self.line(&serde_json::to_string(value).map_err(failed)?);
        }
        let text = serde_json::to_string_pretty(value).map_err(failed)?;
        match std::mem::replace(&mut self.document, JsonList::List) {
            JsonList::None => self.document = JsonList::One(text),
            JsonList::One(first) => {
                self.text(&format!("[\n  {},\n  {}", indented(&first), indented(&text)))?;
            }
            JsonList::List => self.text(&format!(",\n  {}", indented(&text)))?,
        }
        Ok(())
    }

    /// Ends the document, if there is one, and hands everything on.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.document) {
            JsonList::None => {}
            JsonList::One(text) => self.line(&text)?,
            JsonList::List => self.line("\n]")?,
        }
        self.flush()
    }

    /// Whether nothing was written yet.
    pub(crate) fn is_empty(&self) -> bool {
        !self.written && matches!(self.document, JsonList::None)
    }

    /// Begins a list whose rows are written as they come, in every format but the table.
    pub(crate) fn rows(&mut self) -> Rows<'_> {
        Rows { out: self, count: 0 }
    }

    /// Writes a list in every format but the table.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        items: &[T],
        id: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        let mut rows = self.rows();
        items.iter().try_for_each(|item| rows.push(item, &id))?;
        rows.end()
    }

    /// Writes a list in any format. That it is empty is told beside it, in each: `none` says what there could be.
    pub(crate) fn table_or_list<T: Serialize>(
        &mut self,
        items: &[T],
        none: &str,
        id: impl Fn(&T) -> String,
        table: impl FnOnce(&[T]) -> Table,
    ) -> Result<(), Failure> {
        if items.is_empty() {
            say(none);
        }
        match self.format {
            Format::Table if items.is_empty() => Ok(()),
            Format::Table => table(items).write(self),
            _ => self.list(items, id),
        }
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(Failure::io(STANDARD_OUTPUT))
    }
}

/// JSON as an item of a list. Line breaks within strings are escaped, so that these are all between values.
fn indented(json: &str) -> String {
    json.replace('\n', "\n  ")
}

/// What was said of the document that a command prints as `json`.
#[derive(Default)]
enum JsonList {
    #[default]
    None,
    One(String),
    List,
}

/// A list that is written row by row: however long it is, it needs no memory.
pub(crate) struct Rows<'a> {
    out: &'a mut Out,
    count: u64,
}

impl Rows<'_> {
    pub(crate) fn push<T: Serialize>(&mut self, item: &T, id: impl Fn(&T) -> String) -> Result<(), Failure> {
        self.count += 1;
        match self.out.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(item);
                let text = text.map_err(|e| Failure::io(STANDARD_OUTPUT)(e.into()))?;
                self.out.text(if self.count == 1 { "[\n  " } else { ",\n  " })?;
                self.out.text(&indented(&text))
            }
            Format::Jsonl => self.out.json(item),
            Format::Ids | Format::Table => self.out.line(&id(item)),
        }
    }

    /// Writes what ends the list.
    pub(crate) fn end(self) -> Result<(), Failure> {
        match (self.out.format, self.count) {
            (Format::Json, 0) => self.out.line("[]"),
            (Format::Json, _) => self.out.line("\n]"),
            _ => Ok(()),
        }
    }
}

/// Says something to the person at the terminal. A closed standard error loses it.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Shared;

    #[test]
    fn lists_are_documents_however_they_are_written() {
        for items in [vec![], vec![serde_json::json!({"a": "b\nc", "d": [1, 2]}), serde_json::json!("x")]] {
            let text = Shared::default();
            let mut out = Out::of(Format::Json, Box::new(text.clone()), 80);
            out.list(&items, |_| String::new()).unwrap();
            out.flush().unwrap();
            let whole = serde_json::to_string_pretty(&items).unwrap() + "\n";
            assert_eq!(text.text(), whole);
            // One by one they make the same document.
            let text = Shared::default();
            let mut out = Out::of(Format::Json, Box::new(text.clone()), 80);
            items.iter().try_for_each(|item| out.json(item)).unwrap();
            assert_eq!(out.is_empty(), items.is_empty());
            out.finish().unwrap();
            assert_eq!(text.text(), if items.is_empty() { String::new() } else { whole });
        }
        let text = Shared::default();
        let mut out = Out::of(Format::Json, Box::new(text.clone()), 80);
        out.json(&1).unwrap();
        out.finish().unwrap();
        assert_eq!(text.text(), "1\n", "a single value stands alone");
    }
}
