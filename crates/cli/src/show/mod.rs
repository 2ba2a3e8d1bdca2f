//! What people see: formats, tables, and values as text.

pub(crate) mod cause;
pub(crate) mod forecast;
pub(crate) mod output;
pub(crate) mod safe;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod width;

pub(crate) use output::{Format, Out, Presentation};
pub(crate) use table::{Align, Table};
