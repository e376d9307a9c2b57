//! Curves over a record count, drawn as an SVG of small panels.
//!
//! Measures nothing. The count runs in decades; what is measured runs from nothing where it stays
//! about the same, and in decades where it grows with the count, so that a straight line means "in
//! proportion" there.

use crate::rounds::number;

/// One cost against the record count.
pub struct Curve {
    /// What it is.
    pub name: &'static str,
    /// In which unit.
    pub unit: &'static str,
    /// Record counts, rising, and what it cost at each.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// How often the last cost holds the first.
    pub fn growth(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => last.1 / first.1,
            _ => f64::NAN,
        }
    }

    /// The power of the record count that the cost grows by: the slope of the straight line that
    /// is nearest to all points, in decades.
    pub fn power(&self) -> f64 {
        let points = || self.points.iter().map(|(x, y)| (x.ln(), y.ln()));
        let count = self.points.len() as f64;
        let (x, y) = points().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (x, y) = (x / count, y / count);
        let along: f64 = points().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let across: f64 = points().map(|point| (point.0 - x).powi(2)).sum();
        along / across
    }

    fn is_steep(&self) -> bool {
        self.growth() > 8.0
    }
}

const PANEL: (f64, f64) = (380.0, 260.0);
const COLUMNS: usize = 3;
/// Left, top, right, bottom: room around the field of a panel.
const MARGIN: (f64, f64, f64, f64) = (62.0, 52.0, 24.0, 40.0);
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:14px;\
     font-weight:600;fill:#111}.unit,.tick{fill:#666;font-size:11px}.grid{stroke:#e4e4e4}\
     .axis{stroke:#999}.line{fill:none;stroke:#1f5fa8;stroke-width:2}.dot{fill:#1f5fa8}\
     .value{font-size:11px;fill:#1f5fa8}";

/// Draws curves with a title over all of them.
pub fn svg(title: &str, curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS).max(1);
    let (width, height) = (PANEL.0 * COLUMNS as f64, PANEL.1 * rows as f64 + 44.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\"><style>{STYLE}</style>\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text class=\"title\" x=\"20\" y=\"28\">{title}</text>"
    );
    for (at, curve) in curves.iter().enumerate() {
        let left = PANEL.0 * (at % COLUMNS) as f64;
        let top = PANEL.1 * (at / COLUMNS) as f64 + 40.0;
        let drawn = Panel::of(curve).draw(curve);
        out.push_str(&format!(
            "<g transform=\"translate({left} {top})\">{drawn}</g>"
        ));
    }
    out + "</svg>\n"
}

/// Where numbers lie in a panel.
struct Panel {
    x: (f64, f64),
    y: (f64, f64),
    is_log: bool,
}

impl Panel {
    fn of(curve: &Curve) -> Self {
        let most = curve.points.iter().map(|point| point.1).fold(0.0, f64::max);
        let least = curve
            .points
            .iter()
            .map(|point| point.1)
            .fold(most, f64::min);
        let decade = |value: f64, round: fn(f64) -> f64| 10_f64.powf(round(value.log10()));
        let first = curve.points.first().map_or(1.0, |point| point.0);
        let last = curve.points.last().map_or(10.0, |point| point.0);
        let is_log = curve.is_steep();
        let y = match is_log {
            true => (decade(least, f64::floor), decade(most, f64::ceil)),
            false => (0.0, most * 1.25),
        };
        Self {
            x: (first, last.max(first * 10.0)),
            y,
            is_log,
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |value: f64, (from, to): (f64, f64), is_log: bool| match is_log {
            true => (value / from).log10() / (to / from).log10(),
            false => (value - from) / (to - from),
        };
        let (width, height) = field();
        (
            MARGIN.0 + part(x, self.x, true) * width,
            MARGIN.1 + (1.0 - part(y, self.y, self.is_log)) * height,
        )
    }

    fn ticks(&self) -> Vec<f64> {
        match self.is_log {
            true => decades(self.y),
            false => {
                let rough = self.y.1 / 4.0;
                let size = 10_f64.powf(rough.log10().floor());
                let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * size);
                let step = steps
                    .into_iter()
                    .find(|step| *step >= rough)
                    .unwrap_or(rough);
                (0..=4)
                    .map(|count| f64::from(count) * step)
                    .filter(|tick| *tick <= self.y.1)
                    .collect()
            }
        }
    }

    fn draw(&self, curve: &Curve) -> String {
        let (width, height) = field();
        let (left, bottom) = (MARGIN.0, MARGIN.1 + height);
        let mut out = format!(
            "<text class=\"title\" x=\"20\" y=\"22\">{}</text>\
             <text class=\"unit\" x=\"20\" y=\"38\">{}{}</text>",
            curve.name,
            curve.unit,
            if self.is_log { ", in decades" } else { "" }
        );
        for tick in self.ticks() {
            let (_, y) = self.place((self.x.0, tick));
            let (right, label) = (left + width, plain(tick));
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/><text class=\"tick\" \
                     x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                y + 4.0
            ));
        }
        for tick in decades(self.x) {
            let (x, _) = self.place((tick, self.y.0.max(f64::MIN_POSITIVE)));
            out.push_str(&format!(
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/><text class=\"tick\" \
                     x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                plain(tick)
            ));
        }
        out.push_str(&format!(
            "<path class=\"axis\" d=\"M{left} {bottom}h{width}\"/>"
        ));
        out + &self.line(curve)
    }

    fn line(&self, curve: &Curve) -> String {
        let places: Vec<_> = curve
            .points
            .iter()
            .map(|point| self.place(*point))
            .collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let mut out = format!("<path class=\"line\" d=\"M{}\"/>", path.join("L"));
        let last = places.len().saturating_sub(1);
        for (at, ((x, y), point)) in places.iter().zip(&curve.points).enumerate() {
            // The outer ones lean inwards, off the axis and the edge.
            let (anchor, aside) = match at {
                0 => ("start", 4.0),
                _ if at == last => ("end", 4.0),
                _ => ("middle", 0.0),
            };
            out.push_str(&format!(
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\
                 <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                x + aside,
                y - 9.0,
                number(point.1)
            ));
        }
        out
    }
}

fn field() -> (f64, f64) {
    (PANEL.0 - MARGIN.0 - MARGIN.2, PANEL.1 - MARGIN.1 - MARGIN.3)
}

/// The powers of ten from one number to another.
fn decades((from, to): (f64, f64)) -> Vec<f64> {
    let (first, last) = (from.log10().ceil() as i32, to.log10().floor() as i32);
    (first..=last).map(|power| 10_f64.powi(power)).collect()
}

/// A number on an axis: large ones in thousands and millions.
fn plain(value: f64) -> String {
    match value {
        many if many >= 1e6 => format!("{}M", many / 1e6),
        many if many >= 1e3 => format!("{}k", many / 1e3),
        few => format!("{few}"),
    }
}
