//! Where results go, and in which format. Results are on standard output, everything said about them on standard error.

use crate::exit::Failure;
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

impl Format {
    /// Reads `--output`. `submits` says that the command runs something, so that a path is likely to be meant for its output.
    pub(crate) fn parse(text: Option<&str>, submits: bool) -> Result<Format, Invalid> {
        let known = "formats are table, json, jsonl and ids";
        match text {
            None | Some("table") => Ok(Format::Table),
            Some("json") => Ok(Format::Json),
            Some("jsonl") => Ok(Format::Jsonl),
            Some("ids") => Ok(Format::Ids),
            Some(path) if submits => {
                let remedy =
                    format!("{known}; for the file of the tasks' standard output use --stdout {path}");
                Err(Invalid::new("--output", path, remedy))
            }
            Some(other) => Err(Invalid::new("--output", other, known)),
        }
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
}

impl Out {
    /// That of this process, with colours where they are wanted.
    pub(crate) fn of_process(format: Format) -> Out {
        let is_terminal = io::stdout().is_terminal();
        let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { 100 } else { columns };
        Out {
            format,
            writer: Box::new(BufWriter::new(anstream::AutoStream::auto(io::stdout()))),
            is_terminal,
            columns,
        }
    }

    /// One that writes elsewhere, as wide as it is told.
    #[cfg(test)]
    pub(crate) fn of(format: Format, writer: Box<dyn Write + Send>, columns: usize) -> Out {
        Out { format, writer, is_terminal: true, columns }
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.writer.write_all(text.as_bytes()).map_err(Failure::io("standard output"))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes a value as JSON: indented for `json`, on one line for `jsonl`.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value),
            _ => serde_json::to_string(value),
        };
        let text = text.map_err(|e| Failure::io("standard output")(e.into()))?;
        self.line(&text)
    }

    /// Writes a list in every format but the table.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        items: &[T],
        id: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(&items),
            Format::Jsonl => items.iter().try_for_each(|item| self.json(item)),
            Format::Ids | Format::Table => items.iter().try_for_each(|item| self.line(&id(item))),
        }
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(Failure::io("standard output"))
    }
}

/// Says something to the person at the terminal. A closed standard error leaves nobody to say it to.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
