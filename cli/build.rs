//! Links the unwinder in, where it can. Rust takes it from libgcc_s.so.1, which then is found, mapped and relocated at every start: 40 us of
//! the 350 that a minimal program takes. The static one is part of every GCC; `gcc -static-libgcc` does the same.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const UNWINDER: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|is| is == value);
    // For another machine the compiler that is asked here is the wrong one.
    let native = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if native && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        link_unwinder();
    }
}

fn link_unwinder() {
    let Some(folder) = folder_of_unwinder() else {
        return; // libgcc_s it is
    };
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
}

/// Where the compiler has it; a bare name is its way to say nowhere.
fn folder_of_unwinder() -> Option<PathBuf> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let asked = Command::new(compiler)
        .arg(format!("-print-file-name={UNWINDER}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    let found = path.is_absolute() && path.is_file();
    found.then(|| path.parent().map(PathBuf::from))?
}
