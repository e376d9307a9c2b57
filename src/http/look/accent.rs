//! The operator's accent colour, and what it takes to read text on it and beside it.
//!
//! It promises: text on the accent, and the accent as text on our backgrounds, light and dark,
//! differ by 4.5 to 1 or more (WCAG 2.2, 1.4.3), whatever colour was chosen.
//! It never: refuses a colour for its looks.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What the contrast of text is to be at least.
const READABLE: f64 = 4.5;
/// The darkest background of the light pages: text that can be read there can be read on them all.
const LIGHT: Colour = Colour([0xeb, 0xed, 0xf2]);
/// The lightest background of the dark pages.
const DARK: Colour = Colour([0x26, 0x2a, 0x33]);
const BLACK: Colour = Colour([0, 0, 0]);
const WHITE: Colour = Colour([255, 255, 255]);

/// A colour, `#rrggbb`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Colour([u8; 3]);

impl Default for Colour {
    /// Our own accent.
    fn default() -> Self {
        Self([0x1d, 0x4f, 0xc4])
    }
}

impl FromStr for Colour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::invalid("a colour is written #rrggbb, such as #1d4fc4");
        let digits = text.strip_prefix('#').ok_or_else(refuse)?;
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| refuse())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// The custom properties that the style sheet reads.
    pub(super) fn properties(self) -> String {
        let on = self.text_on();
        // Away from the text, so that it can be read under the pointer too.
        let over = self.towards(if on == WHITE { BLACK } else { WHITE }, 0.12);
        let (light, dark) = (self.readable_on(LIGHT), self.readable_on(DARK));
        format!(
            ":root{{--accent:{self};--accent-over:{over};--on-accent:{on};--accent-text:{light}}}\
             @media(prefers-color-scheme:dark){{:root{{--accent-text:{dark}}}}}\n"
        )
    }

    /// Black or white, whichever is read better on this. One of the two always is, by 4.5 to 1.
    fn text_on(self) -> Self {
        match self.contrast(WHITE) >= READABLE {
            true => WHITE,
            false => BLACK,
        }
    }

    /// This colour, as far from `background` as text has to be.
    fn readable_on(self, background: Self) -> Self {
        let end = match background.luminance() > 0.5 {
            true => BLACK,
            false => WHITE,
        };
        let steps = (0..=50).map(|step| self.towards(end, f64::from(step) / 50.0));
        let mut readable = steps.filter(|colour| colour.contrast(background) >= READABLE);
        readable.next().unwrap_or(end)
    }

    fn towards(self, other: Self, part: f64) -> Self {
        let mut mixed = self.0;
        for (own, other) in mixed.iter_mut().zip(other.0) {
            let (from, to) = (f64::from(*own), f64::from(other));
            *own = (from + (to - from) * part).round() as u8;
        }
        Self(mixed)
    }

    /// WCAG's contrast ratio: 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG's relative luminance: 0 to 1.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            match part <= 0.04045 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no accent makes a page that cannot be read. Method: a grid over all colours, and each
    /// pair of colours that stand on one another.
    #[test]
    fn text_on_and_in_any_accent_can_be_read() {
        let parts = (0..=255).step_by(15).map(|part| part as u8);
        for red in parts.clone() {
            for green in parts.clone() {
                for blue in parts.clone() {
                    let accent = Colour([red, green, blue]);
                    let on = accent.text_on();
                    assert!(accent.contrast(on) >= READABLE, "{accent}");
                    for background in [LIGHT, DARK] {
                        let text = accent.readable_on(background);
                        assert!(text.contrast(background) >= READABLE, "{accent}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_colour_is_six_digits_after_a_hash() {
        let read = |text: &str| text.parse::<Colour>().map(|colour| colour.to_string());
        assert_eq!(read("#1D4fc4").as_deref(), Ok("#1d4fc4"));
        assert!(Colour::default().contrast(WHITE) >= READABLE);
        for wrong in [
            "", "#", "1d4fc4", "#1d4fc", "#1d4fc44", "#1d4fcg", "red", "#+d4fc4", "#é4fc4",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
