//! Whose pages these are: a name, a logo, an accent colour.
//!
//! It promises: a logo of a file is small, and of a kind that runs nothing in a page.
//! It never: fetches one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::accent::Colour;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::logo::Logo;

/// What an operator sets of the look.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// What people know the operator by.
    pub name: Option<String>,
    /// The operator's logo, written out.
    pub logo: Option<Logo>,
    /// The colour of what is to be pressed.
    pub accent: Colour,
}

impl Brand {
    /// The logo as a page shows it.
    pub(super) fn inline_logo(&self) -> Option<&str> {
        self.logo.as_ref().and_then(Logo::inline)
    }
}

/// Reads the content of a picture's file: PNG or SVG.
///
/// # Errors
/// [`Error::Settings`] where it is neither, or too large.
pub fn logo_of_file(content: &[u8]) -> Result<Logo> {
    let refuse = |why: String| Error::Settings(format!("the logo {why}"));
    let kind = match content {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "png",
        other => match std::str::from_utf8(other) {
            Ok(text) if text.contains("<svg") => "svg+xml",
            _ => return Err(refuse("is neither PNG nor SVG".into())),
        },
    };
    let text = format!("data:image/{kind};base64,{}", BASE64.encode(content));
    if text.len() > limits::LOGO_BYTES_MAX {
        let most = limits::LOGO_BYTES_MAX / 4 * 3 / 1024;
        return Err(refuse(format!("is too large: at most {most} KiB")));
    }
    Logo::parse("logo", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_a_small_png_or_svg() {
        let png = logo_of_file(b"\x89PNG\r\n\x1a\nrest").unwrap();
        assert!(
            png.as_str()
                .starts_with("data:image/png;base64,iVBORw0KGgpyZXN0")
        );
        let svg = logo_of_file(b"<?xml version='1.0'?><svg/>").unwrap();
        assert!(
            svg.inline()
                .is_some_and(|data| data.starts_with("data:image/svg+xml;base64,"))
        );
        let large = [b"<svg>".as_slice(), &vec![b' '; limits::LOGO_BYTES_MAX]].concat();
        for wrong in [&b"GIF89a"[..], b"", b"\xff\xfe<svg", &large] {
            assert!(logo_of_file(wrong).is_err());
        }
    }
}
