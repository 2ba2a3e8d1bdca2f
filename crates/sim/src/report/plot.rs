//! Plots in SVG, as part of a page.

use super::html::Escaped;
use super::scale::Scale;
use std::fmt::Write;

const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;

/// Lines over two axes.
pub(super) struct Plot<'a> {
    pub(super) width: f64,
    /// Of the field between the axes.
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// Whether names and label of the x axis are drawn; strips above each other share one.
    pub(super) x_named: bool,
    pub(super) lines: Vec<Curve<'a>>,
}

/// One line.
pub(super) struct Curve<'a> {
    /// Number of the run: its colour.
    pub(super) run: usize,
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
    /// Each value holds until the next.
    pub(super) steps: bool,
    /// Whether the field below is tinted.
    pub(super) filled: bool,
}

impl Plot<'_> {
    /// The plot as an `svg` element.
    pub(super) fn svg(&self, title: &str) -> String {
        let mut out = String::new();
        let below = if self.x_named { BOTTOM } else { 8.0 };
        let height = TOP + self.height + below;
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {} {height}\" role=\"img\"><title>{}</title>",
            self.width,
            Escaped(title)
        );
        self.axes(&mut out);
        for line in &self.lines {
            self.line(&mut out, line);
        }
        out.push_str("</svg>\n");
        out
    }

    fn axes(&self, out: &mut String) {
        let (right, bottom) = (self.width - RIGHT, TOP + self.height);
        for (value, name) in &self.y.ticks {
            let y = self.y_at(*value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"end\" x=\"{}\" y=\"{:.1}\">{name}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, name) in &self.x.ticks {
            let x = self.x_at(*value);
            let _ = write!(out, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
            if self.x_named {
                let _ = write!(out, "<text class=\"mid\" x=\"{x:.1}\" y=\"{}\">{name}</text>", bottom + 16.0);
            }
        }
        let _ = write!(out, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>");
        let middle = TOP + self.height / 2.0;
        let _ = write!(
            out,
            "<text class=\"mid label\" transform=\"translate(12 {middle:.1}) rotate(-90)\">{}</text>",
            Escaped(&self.y.label)
        );
        if self.x_named {
            let _ = write!(
                out,
                "<text class=\"mid label\" x=\"{:.1}\" y=\"{}\">{}</text>",
                f64::midpoint(LEFT, right),
                bottom + 36.0,
                Escaped(&self.x.label)
            );
        }
    }

    fn line(&self, out: &mut String, line: &Curve<'_>) {
        let Some(last) = line.points.last() else { return };
        let path = self.path(line);
        if line.filled {
            let bottom = TOP + self.height;
            let _ = write!(
                out,
                "<path class=\"fill r{}\" d=\"{path}V{bottom}H{:.1}Z\"/>",
                line.run,
                self.x_at(line.points.first().unwrap_or(last).0)
            );
        }
        let _ = write!(
            out,
            "<path class=\"line r{}\" d=\"{path}\"><title>{}</title></path>",
            line.run,
            Escaped(line.name)
        );
    }

    /// Points that change nothing on the screen are left out.
    fn path(&self, line: &Curve<'_>) -> String {
        let mut path = String::new();
        let mut drawn = (f64::NAN, f64::NAN);
        let last = line.points.len() - 1;
        for (i, (x, y)) in line.points.iter().enumerate() {
            let at = (tenth(self.x_at(*x)), tenth(self.y_at(*y)));
            let level = |j: usize| tenth(self.y_at(line.points[j].1)) == at.1;
            // Within a level: of steps only its beginning counts, of slopes its beginning and its end.
            if i > 0 && i < last && level(i - 1) && (line.steps || level(i + 1)) {
                continue;
            }
            let _ = match i {
                0 => write!(path, "M{} {}", at.0, at.1),
                _ if line.steps && at.1 == drawn.1 => write!(path, "H{}", at.0),
                _ if line.steps => write!(path, "H{}V{}", at.0, at.1),
                _ => write!(path, "L{} {}", at.0, at.1),
            };
            drawn = at;
        }
        path
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.width - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        TOP + (1.0 - self.y.place(value)) * self.height
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
