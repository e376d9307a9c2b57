//! How figures are shown: a table a section, and a line for each target.
//!
//! Measures nothing.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::rounds::number;

/// Prints a table.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    println!("{table}");
}

/// Which side of its bound a figure is to be on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    /// A figure, its target and whether it is met.
    pub fn judge(self, figure: f64) -> String {
        let (met, sign, bound) = match self {
            Self::AtLeast(bound) => (figure >= bound, ">=", bound),
            Self::AtMost(bound) => (figure <= bound, "<=", bound),
        };
        let word = match (figure.is_nan(), met) {
            (true, _) => "not measured",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        format!("{} (target {sign} {bound}: {word})", number(figure))
    }
}

/// Prints what a figure came to beside its target.
pub fn target(what: &str, figure: f64, bound: Bound) {
    println!("{what}: {}", bound.judge(figure));
}
