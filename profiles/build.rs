//! Merges the files of each shipped board into one JSON text: nobody who names such a board has to wait until three TOML files are read,
//! which took iapctl longer than all the rest of a conversion.
//!
//! Checks nothing: that is the business of the crate, whose tests hold what is written here to what it reads from the same files.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// More boards than ever inherit each other: a circle ends here.
const MOST_BOARDS: usize = 16;

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for watched in ["boards", "chips", "defaults.toml"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    for entry in fs::read_dir("boards")? {
        let path = entry?.path();
        let name = path.file_stem().ok_or("a board's file has a name")?;
        let settings = serde_json::to_string(&settings(&path)?)?;
        fs::write(out.join(name).with_extension("json"), settings)?;
    }
    Ok(())
}

/// What the board's files say in the end: defaults, chip, inherited boards, board.
fn settings(board: &Path) -> Result<Table> {
    let mut boards = vec![read(board)?];
    while let Some(parent) = boards.last().and_then(|last| name(last, "inherits")) {
        if boards.len() > MOST_BOARDS {
            return Err(format!("{}: inherits in a circle", board.display()).into());
        }
        boards.push(read(&file("boards", &parent))?);
    }
    let chip = boards.iter().find_map(|board| name(board, "chip"));
    let chip = chip.ok_or_else(|| format!("{}: no chip", board.display()))?;
    let mut settings = read(Path::new("defaults.toml"))?;
    boards.push(read(&file("chips", &chip))?);
    for layer in boards.into_iter().rev() {
        put_over(&mut settings, layer);
    }
    settings.remove("inherits");
    Ok(settings)
}

fn file(folder: &str, name: &str) -> PathBuf {
    Path::new(folder).join(format!("{name}.toml"))
}

fn name(table: &Table, key: &str) -> Option<String> {
    Some(table.get(key)?.as_str()?.to_owned())
}

fn read(path: &Path) -> Result<Table> {
    let named = |error: &dyn Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    Ok(text
        .parse()
        .map_err(|error: toml::de::Error| named(&error))?)
}

/// Key by key; a list takes the place of a list.
fn put_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => put_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
