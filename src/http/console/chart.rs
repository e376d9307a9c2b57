//! A bar chart as SVG, drawn on the server.
//!
//! It promises: what the bars say stands beside them in words, for who does not see them; it needs
//! no script, and takes its colours from the style sheet.
//! It never: scales so that few look like many: the scale is written at the top.

use maud::{Markup, html};

use super::views::number;
use crate::clock::Timestamp;

/// Width of one bar with the space after it, in units of the picture.
const STEP: u64 = 8;
/// Height of the tallest bar.
const HEIGHT: u64 = 120;

/// One kind of what is counted: the class that colours it, its name, its counts.
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) counts: Vec<u64>,
}

impl Series {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Stacked bars, the first series at the bottom, with a legend that has the totals.
pub(super) fn bars(title: &str, from: Timestamp, series: &[Series]) -> Markup {
    let width = series.first().map_or(0, |first| first.counts.len());
    let stack = |at: usize| series.iter().map(|one| one.counts[at]).sum::<u64>();
    let tallest = (0..width).map(stack).max().unwrap_or(0);
    let view = format!("0 0 {} {HEIGHT}", width as u64 * STEP);
    html! {
        figure.chart {
            figcaption {
                h3 { (title) }
                ul.legend {
                    @for one in series {
                        li { span class={ "swatch " (one.class) } {}
                            (one.name) " " strong { (number(one.total())) } }
                    }
                }
            }
            @if tallest == 0 {
                p.soft { "Nothing in the last day." }
            } @else {
                svg viewBox=(view) preserveAspectRatio="none" aria-hidden="true" {
                    @for at in 0..width { (bar(at, tallest, series)) }
                }
                p.axis aria-hidden="true" {
                    time datetime=(from) { "a day ago" }
                    span { "top: " (number(tallest)) " in a quarter of an hour" }
                    span { "now" }
                }
            }
        }
    }
}

fn bar(at: usize, tallest: u64, series: &[Series]) -> Markup {
    let mut floor = HEIGHT;
    let mut parts = Vec::new();
    for one in series {
        let count = one.counts[at];
        if count == 0 {
            continue;
        }
        // One of many is seen as well: a failure among a thousand is what is looked for.
        let height = (count * HEIGHT).div_ceil(tallest).max(2).min(floor);
        floor -= height;
        parts.push((one.class, floor, height));
    }
    let left = at as u64 * STEP;
    html! {
        @for (class, top, height) in parts {
            rect class=(class) x=(left) y=(top) width=(STEP - 2) height=(height) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &'static str, counts: &[u64]) -> Series {
        Series {
            class: "ok",
            name,
            counts: counts.to_vec(),
        }
    }

    /// Goal: totals in words, a bar for each count that is not nothing, and nothing out of the
    /// picture. Method: one failure beside ten thousand.
    #[test]
    fn one_among_many_is_seen_and_stays_in_the_picture() {
        let from = Timestamp::from_unix_ms(0);
        let drawn = bars(
            "Refreshes",
            from,
            &[series("ok", &[0, 10_000]), series("bad", &[0, 1])],
        );
        let text = drawn.into_string();
        assert_eq!(text.matches("<rect").count(), 2);
        assert!(text.contains("10\u{202f}000"), "{text}");
        assert!(!text.contains("y=\"-"), "{text}");
        let none = bars("Refreshes", from, &[series("ok", &[0, 0])]).into_string();
        assert!(none.contains("Nothing in the last day") && !none.contains("<svg"));
    }
}
