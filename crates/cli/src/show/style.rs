//! Colours: few, and only where they carry meaning. The writers drop them where there is no terminal or `NO_COLOR` is
//! set.

use anstyle::{AnsiColor, Style};

/// Headings of tables and names of fields.
pub(crate) const HEAD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// Wrong, as the first word of a message.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Worth a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BUSY: Style = AnsiColor::Cyan.on_default();

/// The colour of a state of a job, task or node.
pub(crate) fn state(name: &str) -> Style {
    match name {
        "succeeded" | "up" | "complete" | "verified" => GOOD,
        "running" => BUSY,
        "failed" | "down" | "damaged" | "removed" => BAD,
        "cancelled" | "skipped" | "held" | "draining" | "not_ready" | "quarantined" | "incomplete" => WARN,
        _ => Style::new(),
    }
}

/// Text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
