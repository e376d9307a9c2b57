//! The arguments that say whose pages these are: name, logo, accent colour.
//!
//! It promises: what is wrong with them is said at the start, before anything is served.
//! It never: reads more of a file than a logo may be long.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};
use crate::http::look::{Brand, Colour, logo_of_file};
use crate::limits;
use crate::model::check_text;

/// Whose pages these are.
#[derive(Args, Clone, Debug, Default)]
pub struct BrandArgs {
    /// Name that people know you by, at the head of every page.
    #[arg(long, env = "STRONGROOM_BRAND_NAME", value_name = "NAME", value_parser = name)]
    pub brand_name: Option<String>,
    /// Your logo, PNG or SVG of at most 24 KiB, at the head of every page.
    #[arg(long, env = "STRONGROOM_BRAND_LOGO", value_name = "FILE")]
    pub brand_logo: Option<PathBuf>,
    /// Colour of what is to be pressed; what is written on it is black or white, as can be read.
    #[arg(long, env = "STRONGROOM_BRAND_ACCENT", value_name = "#RRGGBB")]
    pub brand_accent: Option<Colour>,
}

impl BrandArgs {
    /// Reads the logo, and puts it beside the rest.
    ///
    /// # Errors
    /// [`Error::Settings`] where it cannot be read, or is no small picture.
    pub fn read(self) -> Result<Brand> {
        let logo = self.brand_logo.as_deref().map(read_logo).transpose()?;
        Ok(Brand {
            name: self.brand_name,
            logo,
            accent: self.brand_accent.unwrap_or_default(),
        })
    }
}

fn read_logo(path: &Path) -> Result<crate::model::logo::Logo> {
    let failed = |error: std::io::Error| {
        Error::Settings(format!("cannot read the logo {}: {error}", path.display()))
    };
    let mut content = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limits::LOGO_BYTES_MAX as u64)
        .read_to_end(&mut content)
        .map_err(failed)?;
    logo_of_file(&content)
}

fn name(text: &str) -> Result<String> {
    check_text("brand name", text)?;
    Ok(text.to_owned())
}
