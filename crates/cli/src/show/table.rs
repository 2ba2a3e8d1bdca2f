//! Aligned tables without lines: each row is one line, so that they can be grepped. On a terminal the widest flexible column gives way.

use crate::exit::Failure;
use crate::show::{Out, style};
use anstyle::Style;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// Left, and cut when the terminal is too narrow.
    Flex,
}

/// A flexible column is never cut below this.
const FLEX_MIN: usize = 8;
const GAP: usize = 2;

/// Rows under a heading.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|text| (text, Style::new())).collect());
    }

    /// Gives a cell of the last row a style.
    pub(crate) fn paint(&mut self, column: usize, style: Style) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.1 = style;
        }
    }

    /// Writes it. Columns that are empty in every row are left out.
    pub(crate) fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|i| self.rows.iter().any(|row| !row[*i].0.is_empty())).collect();
        let mut widths: Vec<usize> = (0..self.columns.len()).map(|i| self.width(i)).collect();
        if out.is_terminal {
            self.squeeze(&shown, &mut widths, out.columns);
        }
        let heading: Vec<_> =
            self.columns.iter().map(|(name, _)| ((*name).to_owned(), style::HEAD)).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let line = self.line(row, &shown, &widths);
            out.line(&line)?;
        }
        Ok(())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].0.chars().count());
        cells.chain([self.columns[column].0.len()]).max().unwrap_or(0)
    }

    /// Takes from the widest flexible column until the table fits, or nothing more can be taken.
    fn squeeze(&self, shown: &[usize], widths: &mut [usize], columns: usize) {
        let total =
            |widths: &[usize]| shown.iter().map(|i| widths[*i] + GAP).sum::<usize>().saturating_sub(GAP);
        while total(widths) > columns {
            let flexible =
                shown.iter().filter(|i| self.columns[**i].1 == Align::Flex && widths[**i] > FLEX_MIN);
            let Some(widest) = flexible.max_by_key(|i| widths[**i]).copied() else { return };
            widths[widest] -= 1;
        }
    }

    fn line(&self, row: &[(String, Style)], shown: &[usize], widths: &[usize]) -> String {
        let mut line = String::new();
        for (nth, &i) in shown.iter().enumerate() {
            let (text, style) = &row[i];
            let text = cut(text, widths[i]);
            let pad = " ".repeat(widths[i] - text.chars().count());
            let painted = if text.is_empty() { String::new() } else { style::paint(*style, &text) };
            let is_last = nth + 1 == shown.len();
            match self.columns[i].1 {
                Align::Right => line.push_str(&format!("{pad}{painted}")),
                _ if is_last => line.push_str(&painted),
                _ => line.push_str(&format!("{painted}{pad}")),
            }
            if !is_last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// The text in at most so many characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

/// Names and values, one a line, with the values aligned.
#[derive(Debug, Default)]
pub(crate) struct Facts(Vec<(&'static str, String, Style)>);

impl Facts {
    /// Adds a value, unless it is empty.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.painted(name, value, Style::new());
    }

    /// Adds a value in a style, unless it is empty.
    pub(crate) fn painted(&mut self, name: &'static str, value: impl Into<String>, style: Style) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name, value, style));
        }
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let width = self.0.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, value, style) in &self.0 {
            let name = format!("{}{}", style::paint(style::DIM, name), " ".repeat(width - name.len()));
            let indent = format!("\n{}", " ".repeat(width + GAP));
            let value = value.trim_end().replace('\n', &indent);
            out.line(&format!("{name}  {}", style::paint(*style, &value)))?;
        }
        Ok(())
    }
}
