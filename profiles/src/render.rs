//! The resolved view of a profile: one TOML text, each key with the file and line that decided it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::Document;
use crate::keys;

pub(crate) fn render(document: &Document<'_>) -> String {
    let mut text = String::new();
    for (path, known) in keys::TABLES {
        match *path {
            "" => table(document, &document.root, known, &mut text),
            _ if path.contains(['[', '*']) => {}
            "flash-maps" => maps(document, &mut text),
            _ => section(document, path, known, &mut text),
        }
    }
    text
}

fn section(document: &Document<'_>, path: &str, known: &'static [&'static str], text: &mut String) {
    if let Some(values) = document.table(path) {
        text.push_str(&format!("\n[{path}]\n"));
        table(document, values, known, text);
    }
}

fn maps(document: &Document<'_>, text: &mut String) {
    for name in document
        .table("flash-maps")
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_ref())
    {
        let path = format!("flash-maps.{name}");
        section(
            document,
            &path,
            keys::table(&path).unwrap_or_default(),
            text,
        );
    }
}

/// The plain values of a table; tables in it have headers of their own.
fn table(
    document: &Document<'_>,
    values: &DeTable<'_>,
    known: &'static [&'static str],
    text: &mut String,
) {
    for key in keys::names(known).filter(|key| *key != "inherits") {
        let Some(value) = values.get(key).filter(|value| !value.as_ref().is_table()) else {
            continue;
        };
        let at = document.sources.location(value.span().start);
        text.push_str(&format!(
            "{key} = {} # {}:{}\n",
            show(value, true),
            at.file,
            at.line
        ));
    }
}

/// A value as TOML; a list of tables with one per line if it is the `outermost` value.
fn show(value: &Spanned<DeValue<'_>>, outermost: bool) -> String {
    match value.as_ref() {
        DeValue::String(text) => toml::Value::from(text.as_ref()).to_string(),
        DeValue::Integer(number) => match number.radix() {
            16 => format!("0x{}", number.as_str()),
            8 => format!("0o{}", number.as_str()),
            2 => format!("0b{}", number.as_str()),
            _ => number.as_str().to_owned(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let lines = outermost && items.iter().any(|item| item.as_ref().is_table());
            let items: Vec<String> = items.iter().map(|item| show(item, false)).collect();
            if lines {
                format!("[\n    {},\n]", items.join(",\n    "))
            } else {
                format!("[{}]", items.join(", "))
            }
        }
        DeValue::Table(table) => {
            let values: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", key.as_ref(), show(value, false)))
                .collect();
            format!("{{ {} }}", values.join(", "))
        }
    }
}
