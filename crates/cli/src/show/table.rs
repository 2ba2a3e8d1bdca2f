//! Aligned tables without lines: each row is one line, so that they can be grepped. On a terminal that is too narrow,
//! long texts are shortened first, then columns are left out, the least important first; elsewhere everything is
//! shown.

use super::output::{Columns, say};
use super::width::{cut, width, wrap};
use crate::exit::Failure;
use crate::show::{Out, safe, style};
use anstyle::Style;
use std::io::IsTerminal;
use taskyard_client::api::Invalid;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// Left, and shortened when the terminal is too narrow.
    Flex,
    /// Left, and as the last column over several lines when the terminal is too narrow.
    Wrap,
}

/// What a long text keeps before columns are left out for it, and what it keeps in any case.
const FLEX_COMFORTABLE: usize = 16;
const FLEX_MIN: usize = 8;
/// Narrowest column on the narrowest terminal.
const COLUMN_MIN: usize = 4;
/// Below this a text is shortened rather than wrapped.
const WRAP_MIN: usize = 24;
const GAP: usize = 2;

/// Rows under a heading.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    /// Left out in this order where they have no room.
    less_important: &'static [&'static str],
    /// Shown only where everything is, or by name.
    extra: &'static [&'static str],
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), ..Table::default() }
    }

    /// Columns that may be left out on a narrow terminal, the least important first.
    #[must_use]
    pub(crate) fn less_important(self, names: &'static [&'static str]) -> Table {
        Table { less_important: names, ..self }
    }

    /// Columns that are shown with `--output wide` or when they are named.
    #[must_use]
    pub(crate) fn extra(self, names: &'static [&'static str]) -> Table {
        Table { extra: names, ..self }
    }

    /// Adds a row; one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|text| (safe::one_line(&text), Style::new())).collect());
    }

    /// Gives a cell of the last row a style.
    pub(crate) fn paint(&mut self, column: usize, style: Style) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.1 = style;
        }
    }

    /// Writes it. Columns that are empty in every row are left out.
    pub(crate) fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let mut shown = self.shown(&out.choice)?;
        let mut widths: Vec<usize> = (0..self.columns.len()).map(|i| self.width(i)).collect();
        let fits = out.is_terminal && out.choice != Columns::Wide;
        if fits {
            let dropped = self.fit(&mut shown, &mut widths, out.columns);
            if !dropped.is_empty() && std::io::stderr().is_terminal() {
                let names = dropped.join(", ");
                say(&style::paint(style::DIM, &format!("no room for {names}; see them with --output wide")));
            }
        }
        let room = if fits { out.columns } else { usize::MAX };
        let heading: Vec<_> =
            self.columns.iter().map(|(name, _)| ((*name).to_owned(), style::HEAD)).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let line = self.line(row, &shown, &widths, room);
            out.line(&line)?;
        }
        Ok(())
    }

    /// The columns to show, in order.
    fn shown(&self, choice: &Columns) -> Result<Vec<usize>, Invalid> {
        let all = 0..self.columns.len();
        let has_text = |i: &usize| self.rows.iter().any(|row| !row[*i].0.is_empty());
        match choice {
            Columns::Usual => {
                Ok(all.filter(has_text).filter(|i| !self.extra.contains(&self.columns[*i].0)).collect())
            }
            Columns::Wide => Ok(all.filter(has_text).collect()),
            Columns::Chosen(names) => names.iter().map(|name| self.find(name)).collect(),
        }
    }

    /// The column of a name, which may be written in small letters and with hyphens.
    fn find(&self, wanted: &str) -> Result<usize, Invalid> {
        let plain = |name: &str| name.to_lowercase().replace(['-', '_'], " ");
        let found = self.columns.iter().position(|(name, _)| plain(name) == plain(wanted));
        found.ok_or_else(|| {
            let names: Vec<String> =
                self.columns.iter().map(|(name, _)| name.to_lowercase().replace(' ', "-")).collect();
            Invalid::new("--columns", wanted, format!("columns are {}", names.join(", ")))
        })
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| width(&row[column].0));
        cells.chain([self.columns[column].0.len()]).max().unwrap_or(0)
    }

    /// Makes the table fit; the names of the columns that had to go.
    fn fit(&self, shown: &mut Vec<usize>, widths: &mut [usize], columns: usize) -> Vec<&'static str> {
        let natural = widths.to_vec();
        let mut dropped = Vec::new();
        let mut less_important = self.less_important.iter();
        loop {
            widths.copy_from_slice(&natural);
            if self.squeeze(shown, widths, columns, FLEX_COMFORTABLE) {
                return dropped;
            }
            let is_shown = |name: &&&'static str| shown.iter().any(|i| self.columns[*i].0 == **name);
            let Some(name) = less_important.find(is_shown) else { break };
            shown.retain(|i| self.columns[*i].0 != *name);
            dropped.push(*name);
        }
        while !self.squeeze(shown, widths, columns, FLEX_MIN) && shown.len() > 2 {
            dropped.extend(shown.pop().map(|i| self.columns[i].0));
        }
        for &i in shown.iter().rev() {
            let over = total(shown, widths).saturating_sub(columns);
            widths[i] = widths[i].saturating_sub(over).max(COLUMN_MIN.min(widths[i]));
        }
        dropped
    }

    /// Takes from the widest flexible column until the table fits, or nothing more can be taken.
    fn squeeze(&self, shown: &[usize], widths: &mut [usize], columns: usize, min: usize) -> bool {
        let last = shown.last().copied();
        let min_of = |i: usize| match self.columns[i].1 {
            Align::Wrap if last == Some(i) => Some(min.max(WRAP_MIN)),
            Align::Flex | Align::Wrap => Some(min),
            Align::Left | Align::Right => None,
        };
        while total(shown, widths) > columns {
            let flexible = shown.iter().filter(|i| min_of(**i).is_some_and(|min| widths[**i] > min));
            let Some(widest) = flexible.max_by_key(|i| widths[**i]).copied() else { return false };
            widths[widest] -= 1;
        }
        true
    }

    fn line(&self, row: &[(String, Style)], shown: &[usize], widths: &[usize], room: usize) -> String {
        let mut line = String::new();
        let mut at = 0;
        for (nth, &i) in shown.iter().enumerate() {
            let (text, style) = &row[i];
            let is_last = nth + 1 == shown.len();
            let paint = |text: &str| if text.is_empty() { String::new() } else { style::paint(*style, text) };
            if is_last && self.columns[i].1 == Align::Wrap && room != usize::MAX {
                let indent = format!("\n{}", " ".repeat(at));
                let lines = wrap(text, room.saturating_sub(at).max(1));
                line.push_str(&lines.iter().map(|text| paint(text)).collect::<Vec<_>>().join(&indent));
                break;
            }
            let text = cut(text, widths[i]);
            let pad = " ".repeat(widths[i].saturating_sub(width(&text)));
            match self.columns[i].1 {
                Align::Right => line.push_str(&format!("{pad}{}", paint(&text))),
                _ if is_last => line.push_str(&paint(&text)),
                _ => line.push_str(&format!("{}{pad}", paint(&text))),
            }
            if !is_last {
                line.push_str(&" ".repeat(GAP));
            }
            at += widths[i] + GAP;
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

fn total(shown: &[usize], widths: &[usize]) -> usize {
    shown.iter().map(|i| widths[*i] + GAP).sum::<usize>().saturating_sub(GAP)
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
            let value = safe::lines(value.trim_end()).replace('\n', &indent);
            out.line(&format!("{name}  {}", style::paint(*style, &value)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Shared;
    use crate::show::Format;

    fn sample() -> Table {
        let columns = [
            ("ID", Align::Right),
            ("NAME", Align::Flex),
            ("STATE", Align::Left),
            ("LAST SEEN", Align::Left),
            ("FENCE", Align::Right),
            ("WHY", Align::Wrap),
        ];
        let mut table = Table::new(&columns).less_important(&["LAST SEEN", "STATE"]).extra(&["FENCE"]);
        let row = |id: &str, name: &str, why: &str| {
            [id, name, "running", "2h", "77", why].map(str::to_owned).to_vec()
        };
        table.row(row("1", "学習学習学習学習学習学習学習", "every node that could run it is busy"));
        table.row(row("12", "cafe\u{301} 🚀\u{1b}[2J", "priority"));
        table
    }

    fn shown(columns: usize, choice: Columns) -> String {
        let text = Shared::default();
        let mut out = Out::of(Format::Table, Box::new(text.clone()), columns);
        out.choice = choice;
        sample().write(&mut out).unwrap();
        text.text()
    }

    #[test]
    fn tables_fit_any_terminal() {
        for columns in 8..120 {
            let text = shown(columns, Columns::Usual);
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= columns, "{widest} of {columns}:\n{text}");
            assert!(text.contains("ID") && text.contains("12"), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
        }
        let text = shown(60, Columns::Usual);
        assert!(
            !text.contains("LAST SEEN") && text.contains("STATE"),
            "the least important goes first:\n{text}"
        );
    }

    #[test]
    fn columns_can_be_chosen() {
        let names = |names: &[&str]| Columns::Chosen(names.iter().map(|name| (*name).to_owned()).collect());
        let text = shown(80, names(&["last-seen", "id", "fence"]));
        assert_eq!(text.lines().next(), Some("LAST SEEN  ID  FENCE"));
        let wide = shown(20, Columns::Wide);
        assert!(wide.contains("FENCE") && wide.contains("every node that could run it is busy"), "{wide}");
        let unknown = sample().shown(&names(&["colour"])).unwrap_err();
        assert!(unknown.remedy.contains("id, name, state, last-seen, fence, why"), "{unknown}");
    }
}
