//! What `-o` names: a link stays a link, a file keeps its mode, a pipe or a device is written to and not replaced, and nothing that a
//! command reads is its output.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{App, Folder, Said, convert, iapctl};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with `app.elf` in it.
fn folder() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let app = folder.file("app.elf", &App::good().elf());
    (folder, app)
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().unwrap().is_symlink()
}

#[test]
fn a_link_stays_and_what_it_points_to_is_replaced() {
    let (folder, app) = folder();
    let (first, second) = (folder.path("first.bin"), folder.path("second.bin"));
    // From another folder, over a second link, relative and absolute.
    let served = folder.path("served");
    std::fs::create_dir(&served).unwrap();
    std::fs::write(served.join("real.bin"), b"old").unwrap();
    symlink("served/real.bin", &first).unwrap();
    symlink(&first, &second).unwrap();
    for link in [&first, &second] {
        std::fs::write(served.join("real.bin"), b"old").unwrap();
        convert(&app, link, &[]).exits(0);
        assert!(is_link(link));
        let written = std::fs::read(served.join("real.bin")).unwrap();
        assert_eq!(written, App::good().bin());
    }
    // A failure leaves the old file.
    std::fs::write(served.join("real.bin"), b"old").unwrap();
    let bad = folder.file("bad.elf", &App::good().elf()[..100]);
    convert(&bad, &second, &[]).exits(3);
    assert_eq!(std::fs::read(&second).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(&served).unwrap().count(), 1);
}

#[test]
fn a_link_to_nothing_becomes_a_link_to_the_file() {
    let (folder, app) = folder();
    let link = folder.path("latest.bin");
    symlink("new.bin", &link).unwrap();
    convert(&app, &link, &[]).exits(0);
    assert!(is_link(&link));
    let written = std::fs::read(folder.path("new.bin")).unwrap();
    assert_eq!(written, App::good().bin());
    // Links in a circle are an error, and stay.
    let circle = folder.path("circle.bin");
    symlink("circle.bin", &circle).unwrap();
    let before = folder.names();
    convert(&app, &circle, &[]).exits(1).says("cannot write");
    assert!(is_link(&circle));
    assert_eq!(folder.names(), before);
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_is_written_to_and_stays_a_pipe() {
    let (folder, app) = folder();
    let pipe = folder.path("pipe.bin");
    make_fifo(&pipe);
    // Through a link as well: that is what /dev/stdout is.
    let link = folder.path("link.bin");
    symlink("pipe.bin", &link).unwrap();
    for out in [&pipe, &link] {
        let mut reader = Command::new("timeout")
            .args(["20", "cat"])
            .arg(&pipe)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = convert(&app, out, &[]);
        let still = pipe.symlink_metadata().unwrap().file_type().is_fifo();
        if !still {
            reader.kill().unwrap(); // nobody will ever write to it
        }
        let read = reader.wait_with_output().unwrap().stdout;
        assert!(still, "the pipe was replaced");
        said.exits(0);
        assert_eq!(read, App::good().bin());
    }
    assert!(is_link(&link));
}

#[test]
fn a_device_is_written_to_and_stays_a_device() {
    let (folder, app) = folder();
    for (device, code) in [("/dev/null", 0), ("/dev/full", 1)] {
        let link = folder.path(&format!("{code}.bin"));
        symlink(device, &link).unwrap();
        convert(&app, &link, &[]).exits(code);
        assert!(is_link(&link));
        let device = std::fs::metadata(device).unwrap();
        assert!(device.file_type().is_char_device());
    }
}

#[test]
fn a_file_keeps_its_mode() {
    let (folder, app) = folder();
    let out = folder.file("out.iap", b"old");
    for mode in [0o600, 0o640, 0o666, 0o755] {
        std::fs::set_permissions(&out, PermissionsExt::from_mode(mode)).unwrap();
        convert(&app, &out, &[]).exits(0);
        let now = std::fs::metadata(&out).unwrap().permissions().mode();
        assert_eq!(now & 0o7777, mode, "{now:o}");
        assert_ne!(std::fs::read(&out).unwrap(), b"old");
    }
}

/// `iapctl` as somebody whom modes concern, which they do not if this is root.
#[cfg(target_os = "linux")]
fn without_privilege(file: &Path) -> Command {
    let program = env!("CARGO_BIN_EXE_iapctl");
    match std::fs::OpenOptions::new().write(true).open(file) {
        Err(_) => Command::new(program),
        Ok(_) => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-dac_override", program]);
            command
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_file_is_not_replaced() {
    let (folder, app) = folder();
    let out = folder.file("release.iap", b"precious");
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o444)).unwrap();
    let names = folder.names();
    let mut command = without_privilege(&out);
    let output = (command.args(["convert", text(&app), "-o", text(&out)]))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("release.iap: cannot write: "), "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    assert_eq!(folder.names(), names);
}

/// The command line is refused, and what was there is what is there.
#[track_caller]
fn refused(folder: &Folder, kept: &Path, args: &[&str], word: &str) {
    let (names, before) = (folder.names(), std::fs::read(kept).unwrap());
    iapctl(args)
        .exits(2)
        .says(&format!("the output is the same file as the {word}"))
        .says("name another file with -o");
    assert_eq!(std::fs::read(kept).unwrap(), before);
    assert_eq!(folder.names(), names);
}

#[test]
fn what_is_read_is_never_the_output() {
    let (folder, elf) = folder();
    let key = folder.path("k.iap"); // the extension is all that is asked of a name
    iapctl(["keygen", "-o", text(&key)]).exits(0);
    let app = folder.file("app.bin", &App::good().bin());
    let firmware = folder.file("iap.bin", &App::at(0x0800_0000).bin());
    let image = folder.path("app.iap");
    convert(&elf, &image, &[]).exits(0);
    // The same file under other names.
    let (soft, hard) = (folder.path("soft.bin"), folder.path("hard.bin"));
    symlink("app.bin", &soft).unwrap();
    std::fs::hard_link(&app, &hard).unwrap();

    for out in [&app, &soft, &hard] {
        let args = ["convert", text(&app), "-o", text(out)];
        refused(&folder, &app, &args, "input");
    }
    let sign = |input, out| ["sign", "--key", text(&key), input, "-o", out];
    refused(&folder, &key, &sign(text(&elf), text(&key)), "key");
    refused(&folder, &image, &sign(text(&image), text(&image)), "input");
    let detached = [
        "sign",
        "--detached",
        "--key-id=0",
        text(&elf),
        "-o",
        text(&elf),
    ];
    refused(&folder, &elf, &detached, "input");
    let factory = |out| {
        [
            "factory",
            "--firmware",
            text(&firmware),
            text(&app),
            "-o",
            out,
        ]
    };
    refused(&folder, &firmware, &factory(text(&firmware)), "firmware");
    refused(&folder, &app, &factory(text(&soft)), "application");
}

#[test]
fn a_profile_is_no_output_either() {
    let (folder, app) = folder();
    let board = folder.file("board.bin", b"inherits = \"sim\"\n");
    let args = ["convert", text(&app), "--profile", text(&board)];
    let args: Vec<&str> = args.into_iter().chain(["-o", text(&board)]).collect();
    refused(&folder, &board, &args, "profile");
}

#[test]
fn a_minus_is_no_file() {
    let (folder, app) = folder();
    let key = folder.path("key.pem");
    iapctl(["keygen", "-o", text(&key)]).exits(0);
    let here = |args: &[&str]| {
        let output = assert_cmd::Command::cargo_bin("iapctl")
            .unwrap()
            .args(args)
            .args(["-o", "-"])
            .current_dir(folder.0.path())
            .env_remove("IAPCTL_PROFILE")
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    let before = folder.names();
    for args in [
        &["convert", text(&app)][..],
        &["sign", "--key", text(&key), text(&app)],
        &["factory", "--firmware", text(&app)],
        &["keygen"],
    ] {
        here(args).exits(2).says("name a file");
    }
    assert_eq!(folder.names(), before);
}

#[test]
fn a_signed_image_is_an_iap_file() {
    let (folder, app) = folder();
    let key = folder.path("key.pem");
    iapctl(["keygen", "-o", text(&key)]).exits(0);
    for name in ["x.bin", "x", "x.elf"] {
        let out = folder.path(name);
        iapctl(["sign", "--key", text(&key), text(&app), "-o", text(&out)])
            .exits(2)
            .says("a signed image is a .iap file")
            .says("-o app.iap");
        assert!(!out.exists());
    }
    let out = folder.path("x.IAP");
    iapctl([
        "sign",
        "--key",
        text(&key),
        "--key-id=0",
        text(&app),
        "-o",
        text(&out),
    ])
    .exits(0);
}

/// A name that Linux takes and JSON does not.
#[cfg(target_os = "linux")]
fn no_utf_8(folder: &Folder, extension: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let name = [b"r\xE9sum\xE9.", extension.as_bytes()].concat();
    folder.0.path().join(std::ffi::OsString::from_vec(name))
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_no_utf_8_is_shown_in_json_and_is_no_failure() {
    let (folder, app) = folder();
    let (bin, key, iap) = (
        no_utf_8(&folder, "bin"),
        no_utf_8(&folder, "pem"),
        no_utf_8(&folder, "iap"),
    );
    let man = no_utf_8(&folder, "d");
    std::fs::create_dir(&man).unwrap();
    let run = |args: &[&std::ffi::OsStr]| {
        let json = iapctl(args).exits(0).json();
        json["output"].as_str().unwrap_or_default().to_owned()
    };
    let [json, output] = ["--json".as_ref(), "-o".as_ref()];
    let shown = run(&["convert".as_ref(), json, app.as_ref(), output, bin.as_ref()]);
    assert!(shown.ends_with("r\u{FFFD}sum\u{FFFD}.bin"), "{shown}");
    run(&["keygen".as_ref(), json, output, key.as_ref()]);
    let key_option = "--key".as_ref();
    let sign = [
        "sign".as_ref(),
        json,
        app.as_ref(),
        key_option,
        key.as_ref(),
    ];
    run(&[&sign[..], &[output, iap.as_ref()]].concat());
    run(&["man".as_ref(), json, man.as_ref()]);
    for path in [bin, key, iap] {
        assert!(path.is_file());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn bytes_to_sign_that_stdout_does_not_take_are_a_failure() {
    use std::process::Stdio;
    let folder = Folder::new();
    let key = folder.path("key.pem");
    iapctl(["keygen", "-o", text(&key)]).exits(0);
    let run = |app: &Path, stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iapctl"));
        (command.args(["sign", text(app), "--detached", "--public-key"]))
            .args([text(&key), "-o", "-"])
            .stdout(stdout)
            .output()
            .unwrap()
    };
    // Without a line end among them nothing is written before the end.
    let app = (0..40)
        .map(|last| folder.file("app.bin", &[&App::good().bin()[..], &[last]].concat()))
        .find(|app| {
            let bytes = run(app, Stdio::piped()).stdout;
            assert_eq!(bytes.len(), 444);
            !bytes.contains(&b'\n')
        })
        .unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let output = run(&app, full.unwrap().into());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write to stdout"), "{said}");
}
