//! rustc for the firmware: functions with the attributes that make it small, without frame pointers above all.
//!
//! rustc describes `thumbv7em-none-eabihf` so that every function has LLVM's attribute `frame-pointer="all"`, and no stable switch takes it
//! back. On the chip nothing reads them: debuggers unwind by `.debug_frame`, and a panic resets. They cost 3 KiB of flash, and r7. What LLVM
//! has on stable is a list of functions and attributes to force on them (`-forceattrs-csv-path`), so each crate is compiled twice: to LLVM's
//! text, for the names of its functions, then with the list of them. Cargo calls this task in rustc's place (`RUSTC_WRAPPER`), so it is cargo
//! that knows what is fresh. The compiler's own libraries come compiled, they keep theirs. That it had an effect is looked up in the ELF
//! file: `frames.rs`, and [`faults`] for the few functions of smoltcp that get another attribute.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use iap_protocol::crc::crc32;

use crate::sample_app::TARGET;

/// What marks a crate for the firmware: for [`rustc`], and for cargo, which keeps such crates apart from those that it compiled without.
/// It has the CRC of [`NOT_INLINED`]: cargo compiles anew what was compiled with another table.
const MARK: &str = "attributes_forced=";
/// Functions of smoltcp that make the firmware smaller where they are not inlined, found by trying the largest of those that were; together some 0.5 to 1.5 KiB.
/// Our own functions say it in their source.
const NOT_INLINED: [&str; 7] = [
    "smoltcp::iface::interface::Interface::socket_ingress::{{closure}}",
    "smoltcp::iface::packet::Packet::emit_payload::{{closure}}",
    "<smoltcp::time::Instant as core::ops::arith::Sub>::sub",
    "smoltcp::wire::ip::checksum::combine",
    "<smoltcp::wire::tcp::SeqNumber as core::ops::arith::Sub>::sub",
    "<smoltcp::wire::tcp::SeqNumber as core::ops::arith::AddAssign<usize>>::add_assign",
    "<core::net::ip_addr::Ipv4Addr as smoltcp::wire::ipv4::AddressExt>::x_is_unicast",
];

/// Has this build go through [`rustc`].
pub(super) fn with_attributes(cargo: &mut Command) -> Result<()> {
    let task = env::current_exe().context("cannot find this program's own file")?;
    let table = crc32(NOT_INLINED.concat().as_bytes());
    cargo
        .env("RUSTC_WRAPPER", task)
        .arg("--config")
        .arg(format!(
            r#"target.{TARGET}.rustflags = ['--cfg', '{MARK}"{table:08x}"']"#
        ))
        // They would replace those of the target.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(())
}

/// What of the table had no effect: functions of these mangled names were expected.
pub(super) fn faults(functions: &[String]) -> Vec<String> {
    let demangle = |name: &String| format!("{:#}", rustc_demangle::demangle(name));
    let functions: Vec<String> = functions.iter().map(demangle).collect();
    let missing = NOT_INLINED
        .iter()
        .filter(|name| !functions.iter().any(|function| function == *name));
    missing
        .map(|name| format!("{name} is inlined or has another name: see NOT_INLINED in xtask/src/firmware/compiler.rs"))
        .collect()
}

/// Whether cargo calls this task in rustc's place, and what follows is what it would have called.
pub(crate) fn is_rustc(program: &OsStr) -> bool {
    Path::new(program).file_stem() == Some(OsStr::new("rustc"))
}

/// Compiles a crate as cargo asks for.
pub(crate) fn rustc(program: &OsStr, arguments: &[OsString]) -> Result<ExitCode> {
    let mut compile = Command::new(program);
    compile.args(arguments);
    let is_mark = |it: &OsString| it.to_str().is_some_and(|it| it.starts_with(MARK));
    if arguments.iter().any(is_mark)
        && let Some(file) = output(arguments)
    {
        let Some(text) = llvm_text(program, arguments, &file.with_extension("ll"))? else {
            return Ok(ExitCode::FAILURE);
        };
        let list = file.with_extension("attributes.csv");
        let cannot = || format!("cannot write {}", list.display());
        fs::write(&list, attributes(&text)).with_context(cannot)?;
        // As its input: rustc splits options for LLVM at spaces, and paths may have some.
        compile.stdin(File::open(&list).with_context(cannot)?);
        compile.arg("-Cllvm-args=-forceattrs-csv-path=-");
    }
    let status = compile.status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What cargo names the crate's files, without an extension; nothing if cargo only asks rustc about itself.
fn output(arguments: &[OsString]) -> Option<PathBuf> {
    let texts: Vec<&str> = arguments.iter().filter_map(|it| it.to_str()).collect();
    let after = |name: &str| {
        let at = texts.iter().position(|text| *text == name)?;
        texts.get(at + 1).copied()
    };
    let suffix = texts
        .iter()
        .find_map(|text| text.strip_prefix("extra-filename="))?;
    let name = format!("{}{suffix}", after("--crate-name")?);
    Some(Path::new(after("--out-dir")?).join(name))
}

/// The crate as LLVM's text, not optimised; nothing if it does not compile, which rustc has said then.
fn llvm_text(program: &OsStr, arguments: &[OsString], file: &Path) -> Result<Option<String>> {
    let is_output = |it: &OsString| it.to_str().is_some_and(|it| it.starts_with("--emit="));
    let mut emit = OsString::from("--emit=llvm-ir=");
    emit.push(file);
    let mut compile = Command::new(program);
    compile
        .args(arguments.iter().filter(|it| !is_output(it)))
        .arg(emit)
        .args(["-Clto=off", "-Clinker-plugin-lto=no"])
        .args(["-Cno-prepopulate-passes", "-Cdebuginfo=0"]);
    let done = compile.output();
    let done = done.with_context(|| format!("cannot start {}", program.display()))?;
    if !done.status.success() {
        io::stderr().write_all(&done.stderr)?;
        return Ok(None);
    }
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    fs::remove_file(file)?;
    Ok(Some(text))
}

/// The list for LLVM: each function that the text defines.
fn attributes(text: &str) -> String {
    let names = text.lines().filter_map(defined);
    let attributes = names.flat_map(|name| {
        let demangled = format!("{:#}", rustc_demangle::demangle(name));
        let outlined = NOT_INLINED.contains(&&*demangled);
        let outlined = outlined.then(|| format!("{name},noinline\n"));
        [Some(format!("{name},frame-pointer=none\n")), outlined]
    });
    attributes.flatten().collect()
}

/// The function that a line of LLVM's text begins to define.
fn defined(line: &str) -> Option<&str> {
    let (_, name) = line.strip_prefix("define ")?.split_once('@')?;
    let (name, _) = name.split_once('(')?;
    Some(name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_that_is_defined_is_in_the_list() {
        let text = "\
; iap::a
define internal void @_ZN3iap1a17h0E(ptr %self) unnamed_addr #0 {
  call void @_ZN3iap1b17h0E()
}
declare void @_ZN3iap1c17h0E() #1
define dso_local noundef zeroext i1 @\"_ZN3iap28_$u7b$\"(i32 %0) {
";
        let list = "_ZN3iap1a17h0E,frame-pointer=none\n_ZN3iap28_$u7b$,frame-pointer=none\n";
        assert_eq!(attributes(text), list);
    }

    #[test]
    fn functions_that_are_smaller_apart_are_not_inlined() {
        let name = "_ZN7smoltcp4wire2ip8checksum7combine17h0123456789abcdefE";
        let list = attributes(&format!("define internal i16 @{name}(i16 %0) {{"));
        let expected = format!("{name},frame-pointer=none\n{name},noinline\n");
        assert_eq!(list, expected);
        assert_eq!(faults(&[name.to_owned()]).len(), NOT_INLINED.len() - 1);
    }

    #[test]
    fn a_crate_is_named_as_cargo_names_it() {
        let words = "--crate-name iap --emit=link -C extra-filename=-12 --out-dir /t/deps";
        let arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        assert_eq!(output(&arguments), Some("/t/deps/iap-12".into()));
        assert_eq!(output(&["--crate-name".into(), "___".into()]), None);
    }
}
