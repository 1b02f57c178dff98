//! salty brings its field multiplication as a prebuilt object. This assembles the sources beside it and compares: what checks signatures on the chip
//! is what can be read.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Member of the archive, and its source in the crate.
const OBJECTS: [(&str, &str); 3] = [
    ("salty-add.o", "asm/fe25519_add.s"),
    ("salty-mpy.o", "haase/cortex_m4_mpy_fe25519.S"),
    ("salty-sqr.o", "haase/cortex_m4_sqr_fe25519.S"),
];

/// Where cargo keeps the crate's source.
fn crate_folder() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let salty = packages.iter().find(|package| package["name"] == "salty");
    let manifest = salty.unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).parent().unwrap().to_owned()
}

/// What the C preprocessor would do to these files: includes, and comments out.
fn preprocess(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| match line.strip_prefix("#include ") {
        Some(name) => preprocess(&path.with_file_name(name.trim().trim_matches('"'))),
        None => line.split("//").next().unwrap_or_default().to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

fn run(tool: &str, arguments: &[&str], folder: &Path) {
    let status = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success(), "{tool} {arguments:?}");
}

fn text_section(object: &str, folder: &Path) -> Vec<u8> {
    let arguments = ["-O", "binary", "-j", ".text", object, "text"];
    run("arm-none-eabi-objcopy", &arguments, folder);
    fs::read(folder.join("text")).unwrap()
}

#[test]
fn the_prebuilt_object_is_what_its_sources_assemble_to() {
    // Of the same package as the assembler.
    if !iap_peers::is_here("arm-none-eabi-objcopy") {
        return;
    }
    let (salty, folder) = (crate_folder(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let archive = salty.join("bin/salty-asm.a");
    run(
        "arm-none-eabi-ar",
        &["x", archive.to_str().unwrap()],
        folder,
    );
    let members = fs::read_dir(folder).unwrap().count();
    assert_eq!(members, OBJECTS.len(), "nothing else in the archive");
    for (object, source) in OBJECTS {
        let shipped = text_section(object, folder);
        fs::write(folder.join("source.s"), preprocess(&salty.join(source))).unwrap();
        let arguments = ["-mcpu=cortex-m4", "-mthumb", "source.s", "-o", "own.o"];
        run("arm-none-eabi-as", &arguments, folder);
        assert!(shipped.len() > 100);
        assert!(text_section("own.o", folder) == shipped, "{source}");
    }
}
