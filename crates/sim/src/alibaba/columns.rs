//! A table with named columns, and complaints that name them.

use crate::TraceError;
use crate::workload::MalformedLines;
use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use std::io::Read;
use taskyard_model::Invalid;

/// Rows of a table with the columns that are wanted.
pub(super) struct CsvTable<R> {
    name: String,
    rows: Reader<R>,
    columns: Vec<(&'static str, Option<usize>)>,
    record: ByteRecord,
}

/// One row.
pub(super) struct Row<'a> {
    columns: &'a [(&'static str, Option<usize>)],
    record: &'a ByteRecord,
    /// Number of its first line, from 1.
    pub(super) line: u64,
}

impl<R: Read> CsvTable<R> {
    /// Finds the columns. Those of `optional` may be missing: they read as empty.
    pub(super) fn new(
        name: &str,
        from: R,
        needed: &[&'static str],
        optional: &[&'static str],
    ) -> Result<Self, TraceError> {
        let mut rows = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(from);
        let header = rows.byte_headers().map_err(|e| read_error(name, 0, e))?.clone();
        let find = |column: &&'static str| {
            (*column, header.iter().position(|cell| strip_bom(cell) == column.as_bytes()))
        };
        let columns: Vec<_> = needed.iter().chain(optional).map(find).collect();
        if let Some((missing, _)) = columns.iter().take(needed.len()).find(|(_, at)| at.is_none()) {
            let there = header.iter().map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>();
            let remedy = format!("{name} has no such column: its first line must name {}", needed.join(", "));
            return Err(Invalid::new(format!("column {missing}"), there.join(","), remedy).into());
        }
        Ok(CsvTable { name: name.to_owned(), rows, columns, record: ByteRecord::new() })
    }

    /// The next row that has as many cells as it should; others are counted.
    pub(super) fn next(&mut self, malformed: &mut MalformedLines) -> Result<Option<Row<'_>>, TraceError> {
        let cells = self.rows.byte_headers().map_err(|e| read_error(&self.name, 0, e))?.len();
        loop {
            let before = self.rows.position().line();
            if !self.rows.read_byte_record(&mut self.record).map_err(|e| read_error(&self.name, before, e))? {
                return Ok(None);
            }
            let line = self.record.position().map_or(before, csv::Position::line);
            if self.record.len() == cells {
                return Ok(Some(Row { columns: &self.columns, record: &self.record, line }));
            }
            malformed.add(line, || format!("{} cells, the first line has {cells}", self.record.len()));
        }
    }
}

impl<'a> Row<'a> {
    /// The cell of a column, empty if there is none.
    pub(super) fn text(&self, column: &'static str) -> Result<&'a str, Invalid> {
        let at = self.columns.iter().find(|(name, _)| *name == column).and_then(|(_, at)| *at);
        let cell = at.and_then(|i| self.record.get(i)).unwrap_or_default();
        str::from_utf8(cell)
            .map_err(|_| Invalid::new(column, String::from_utf8_lossy(cell), "text in UTF-8 is expected"))
    }

    /// A whole number up to `max`; `None` if the cell is empty. A fraction of zero, as in `3.0`, is let pass.
    pub(super) fn number(&self, column: &'static str, max: u64) -> Result<Option<u64>, Invalid> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        let whole =
            text.split_once('.').filter(|(_, f)| f.bytes().all(|b| b == b'0')).map_or(text, |(w, _)| w);
        match whole.parse::<u64>() {
            Ok(n) if n <= max => Ok(Some(n)),
            Ok(_) => Err(Invalid::new(column, text, format!("at most {max}"))),
            Err(_) => Err(Invalid::new(column, text, "a whole number is expected, and none below zero")),
        }
    }

    /// The same, where an empty cell is a fault.
    pub(super) fn needed(&self, column: &'static str, max: u64) -> Result<u64, Invalid> {
        self.number(column, max)?.ok_or_else(|| Invalid::new(column, "", "a whole number is expected"))
    }
}

fn read_error(name: &str, line: u64, error: csv::Error) -> TraceError {
    let source = std::io::Error::from(error);
    TraceError::Read { trace: name.to_owned(), line: line.saturating_sub(1), source }
}

fn strip_bom(cell: &[u8]) -> &[u8] {
    cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell)
}
