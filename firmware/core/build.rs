//! Makes the HTTP server's pages of the sources in `pages/`: markup without line ends, style and script compressed once and for all.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Pieces of markup, put together by `src/http/pages.rs`.
const MARKUP: [&str; 5] = ["start", "state", "rows", "login", "actions"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=pages");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (style, script) = (source("iap.css")?, source("iap.js")?);
    // In the addresses of both, so that browsers can keep them for good.
    let mut hasher = DefaultHasher::new();
    (&style, &script).hash(&mut hasher);
    let hash = format!("{:08x}", hasher.finish() as u32);
    for name in MARKUP {
        let markup = joined(&source(&format!("{name}.html"))?).replace("HASH", &hash);
        fs::write(out.join(format!("{name}.html")), markup)?;
    }
    compress(&stripped(&style), &out.join("iap.css.gz"))?;
    compress(&stripped(&script), &out.join("iap.js.gz"))?;
    Ok(())
}

fn source(name: &str) -> std::io::Result<String> {
    fs::read_to_string(Path::new("pages").join(name))
}

/// Without indentation, empty lines and lines that are comments.
fn stripped(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// One line: a line end is white space only between two pieces of text.
fn joined(markup: &str) -> String {
    let mut out = String::new();
    for line in markup.lines().map(str::trim) {
        let is_text = |byte: Option<char>, edge| byte.is_some_and(|byte| byte != edge);
        if is_text(out.chars().last(), '>') && is_text(line.chars().next(), '<') {
            out.push(' ');
        }
        out.push_str(line);
    }
    out
}

fn compress(text: &str, to: &Path) -> std::io::Result<()> {
    let options = zopfli::Options::default();
    zopfli::compress(
        options,
        zopfli::Format::Gzip,
        text.as_bytes(),
        fs::File::create(to)?,
    )
}
