//! iapctl never lies: killed, interrupted, without descriptors, with a file that changes, on a full disk. What it leaves behind is nothing
//! or whole, what it says of the board is true, and the board is free again in its time.
//!
//! | what happens | test |
//! |---|---|
//! | SIGKILL within a transfer | `a_killed_push_leaves_a_board_that_takes_the_next_one` |
//! | Ctrl-C or SIGTERM within a transfer | `ctrl_c_frees_the_board_and_says_what_it_holds`, `sigterm_is_taken_for_ctrl_c` |
//! | the end of `--timeout` within a transfer | `the_end_of_the_time_ends_the_transfer_on_the_board_too` |
//! | Ctrl-C or SIGTERM at the question for a password | `tests/password_prompt.rs` |
//! | no descriptors are left | `without_descriptors_it_fails_and_says_so` |
//! | the file changes while it is read | `a_file_that_changes_while_it_is_read_is_refused` |
//! | the disk is full, for files and for stdout | `a_full_disk_leaves_no_part_of_a_file`, `a_full_disk_leaves_no_empty_key`, `a_result_that_cannot_be_written_is_a_failure` |
//! | killed while it writes a file | `a_writer_that_is_killed_leaves_the_old_file` |
//! | the clock jumps | `a_time_of_day_that_jumps_disturbs_nothing`, `no_clock_that_can_jump_is_used` |
//! | the last ACK or the answer is lost | `tests/push`: `a_lost_last_answer_is_made_good_by_the_status` and the test after it |
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "common/namespace.rs"]
mod namespace;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

const PATIENCE: Duration = Duration::from_secs(30);
/// Larger than the board's ring and its TCP window: the board erases while the client is still sending.
const LARGE: usize = 400_000;

struct Bench {
    sim: Sim,
    folder: tempfile::TempDir,
}

impl Bench {
    /// A board whose flash takes the time it takes.
    fn new() -> Self {
        Self {
            sim: Sim::start(SimOptions::new("sim").unwrap()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, version: (u16, u16, u16), len: usize) -> PathBuf {
        let map = iap_sim::bench::real_map();
        let payload = image::application(&map, version, len);
        let path = self.folder.path().join(format!("app-{}.iap", version.0));
        std::fs::write(&path, image::iap_file(&map, "sim", &payload)).unwrap();
        path
    }

    fn targets(&self) -> [String; 2] {
        [
            format!("--tftp={}", self.sim.tftp()),
            format!("--http={}", self.sim.http()),
        ]
    }

    /// A push that has begun to erase.
    fn begun(&self, target: &str, file: &Path) -> Child {
        let heard = self.sim.events().len();
        let child = iapctl().args(["push", target]).arg(file).spawn().unwrap();
        let erased = |event: &Event| matches!(event, Event::SectorErased(_));
        self.sim.wait_for(heard, PATIENCE, erased).unwrap();
        child
    }

    /// The board had begun to erase; it says so, and does not go on with what had been on its way.
    fn has_given_it_up(&self, text: &str, number: u16) {
        let erased = "there is no application it would start; it stays in IAP mode";
        assert!(text.contains(erased), "{text}");
        // Longer than the rest of the image would take.
        std::thread::sleep(Duration::from_secs(4));
        let name = format!("{number}.0.0");
        let committed =
            |event: &Event| matches!(event, Event::Committed { version, .. } if *version == name);
        let events = self.sim.events();
        assert!(
            !events.iter().any(|it| committed(&it.event)),
            "it was committed: {text}"
        );
    }

    /// Pushes a small image; the board may still be waiting for somebody who is gone.
    fn next_push_succeeds(&self, target: &str, version: (u16, u16, u16), limit: Duration) {
        let file = self.file(version, 5000);
        let begun = Instant::now();
        loop {
            let output = iapctl().args(["push", target]).arg(&file).output().unwrap();
            if output.status.success() {
                return;
            }
            assert!(begun.elapsed() < limit, "{}", shown(&output));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn iapctl() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("iapctl"));
    command
        .env("IAPCTL_PASSWORD", "stm32")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// iapctl in a shell that has set limits first.
fn limited(limit: &str, args: &[&str]) -> Output {
    let program = assert_cmd::cargo::cargo_bin!("iapctl");
    Command::new("sh")
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(args)
        .env("IAPCTL_PASSWORD", "stm32")
        .output()
        .unwrap()
}

fn shown(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_killed_push_leaves_a_board_that_takes_the_next_one() {
    let bench = Bench::new();
    for (number, target) in (1..).zip(bench.targets()) {
        let mut child = bench.begun(&target, &bench.file((number, 0, 0), LARGE));
        child.kill().unwrap();
        child.wait().unwrap();
        // 2 s of silence until the same host may take over, 10 s until anybody may; a sector of 1 s before.
        bench.next_push_succeeds(&target, (number, 1, 0), Duration::from_secs(13));
    }
}

#[test]
fn ctrl_c_frees_the_board_and_says_what_it_holds() {
    let bench = Bench::new();
    for target in bench.targets() {
        is_stopped_in_order(&bench, &target, "-INT");
    }
}

#[test]
fn sigterm_is_taken_for_ctrl_c() {
    let bench = Bench::new();
    let [tftp, _] = bench.targets();
    is_stopped_in_order(&bench, &tftp, "-TERM");
}

fn is_stopped_in_order(bench: &Bench, target: &str, name: &str) {
    let child = bench.begun(target, &bench.file((1, 0, 0), LARGE));
    signal(&child, name);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", shown(&output));
    bench.has_given_it_up(&shown(&output), 1);
    bench.next_push_succeeds(target, (1, 1, 0), Duration::from_secs(8));
}

#[test]
fn the_end_of_the_time_ends_the_transfer_on_the_board_too() {
    let bench = Bench::new();
    for (number, target) in (1..).zip(bench.targets()) {
        let file = bench.file((number, 0, 0), LARGE);
        // The first erase has begun by then, and takes a second; the others would take two more.
        let output = iapctl()
            .args(["push", "--timeout=1", &target])
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        bench.has_given_it_up(&shown(&output), number);
    }
}

#[test]
fn without_descriptors_it_fails_and_says_so() {
    let bench = Bench::new();
    let file = bench.file((1, 0, 0), 5000);
    for target in bench.targets() {
        let mut failures = 0;
        for descriptors in 4..12 {
            let limit = format!("ulimit -n {descriptors}");
            let output = limited(&limit, &["push", &target, file.to_str().unwrap()]);
            let text = shown(&output);
            assert!(!text.contains("panicked"), "{descriptors}: {text}");
            let committed = text.contains("committed: version 1.0.0");
            assert_eq!(committed, output.status.success(), "{descriptors}: {text}");
            if !output.status.success() {
                failures += 1;
                assert!(text.contains("error: "), "{descriptors}: {text}");
            }
        }
        assert!(failures > 0, "the limit never bit");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.bin");
    let file = std::fs::File::create(&path).unwrap();
    // Sparse, and long enough to be at work on it for a while.
    file.set_len(256 << 20).unwrap();
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap();
            for _ in 0..200_000 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                file.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let args = ["verify-image", "--profile", "sim"];
        let output = iapctl().args(args).arg(&path).output().unwrap();
        done.store(true, Ordering::Relaxed);
        output
    });
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(
        shown(&output).contains("was changed while it was read"),
        "{}",
        shown(&output)
    );
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for args in [&["profiles", "list"][..], &["--json", "profiles", "list"]] {
        let output = iapctl().args(args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        assert!(
            shown(&output).contains("cannot write to stdout"),
            "{}",
            shown(&output)
        );
    }
}

/// What a script says that runs with `iapctl` and `args` as its arguments, in the folder `$DIR` a disk of 64 KiB; `None` where this
/// machine allows no namespaces.
fn on_a_small_disk(folder: &Path, script: &str, args: &[&OsStr]) -> Option<String> {
    let mount = ["mount", "-t", "tmpfs", "none", "/tmp"];
    let mut unshare = namespace::unshare(&["--mount"], &mount)?;
    let script = format!("mount -t tmpfs -o size=64k none \"$DIR\" || exit 8\n{script}");
    let output = unshare
        .args(["sh", "-c", &script, "sh"])
        .arg(assert_cmd::cargo::cargo_bin!("iapctl"))
        .args(args)
        .env("DIR", folder)
        .output()
        .unwrap();
    Some(shown(&output))
}

#[test]
fn a_full_disk_leaves_no_part_of_a_file() {
    let bench = Bench::new();
    let app = bench.file((1, 0, 0), LARGE);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.iap");
    let script = r#"echo old >"$DIR/out.iap"
        "$@" && exit 9; echo "exit $?"; ls -A "$DIR"; cat "$DIR/out.iap""#;
    let args = ["convert", "--profile", "sim", "--force"].map(OsStr::new);
    let files = [app.as_os_str(), OsStr::new("-o"), out.as_os_str()];
    let Some(text) = on_a_small_disk(dir.path(), script, &[&args[..], &files].concat()) else {
        return;
    };
    assert!(text.contains("exit 1\nout.iap\nold\n"), "{text}");
    assert!(text.contains("cannot write"), "{text}");
}

#[test]
fn a_full_disk_leaves_no_empty_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    // The second try has room: nothing of the first stands in its way.
    let script = r#"cat /dev/zero >"$DIR/filler" 2>/dev/null
        "$@" && exit 9; echo "exit $?"; ls -A "$DIR"
        rm "$DIR/filler"; "$@" >/dev/null; echo "exit $?"; ls -A "$DIR""#;
    let args = [OsStr::new("keygen"), OsStr::new("-o"), key.as_os_str()];
    let Some(text) = on_a_small_disk(dir.path(), script, &args) else {
        return;
    };
    assert!(text.contains("exit 1\nfiller\nexit 0\nkey.pem\n"), "{text}");
    assert!(text.contains("cannot write: No space left"), "{text}");
}

#[test]
fn a_writer_that_is_killed_leaves_the_old_file() {
    let bench = Bench::new();
    let app = bench.file((1, 0, 0), LARGE);
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.iap");
    std::fs::write(&path, b"old").unwrap();
    // The kernel sends SIGXFSZ when the file passes the limit, and that kills; nothing can be tidied up then.
    let args = [
        "convert",
        "--profile",
        "sim",
        "--force",
        app.to_str().unwrap(),
        "-o",
    ];
    let output = limited(
        "ulimit -f 40",
        &[&args[..], &[path.to_str().unwrap()]].concat(),
    );
    assert!(!output.status.success(), "{}", shown(&output));
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    let visible: Vec<_> = names(out.path())
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(visible, ["out.iap"]);
}

/// A library that makes the time of day jump in whatever loads it.
fn jumping_clock(folder: &Path) -> PathBuf {
    let library = folder.join("jumping_clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/jumping_clock.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .args(["-ldl"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", shown(&built));
    library
}

#[test]
fn a_time_of_day_that_jumps_disturbs_nothing() {
    let bench = Bench::new();
    let library = jumping_clock(bench.folder.path());
    let said = bench.folder.path().join("said");
    let jumping = |mut command: Command| {
        let with = command
            .env("LD_PRELOAD", &library)
            .env("JUMPING_CLOCK", &said);
        with.output().unwrap()
    };
    for (number, target) in (1..).zip(bench.targets()) {
        let mut push = iapctl();
        push.args(["push", "--timeout=25", &target])
            .arg(bench.file((number, 0, 0), 5000));
        let output = jumping(push);
        let text = shown(&output);
        assert!(output.status.success(), "{text}");
        let committed = format!("committed: version {number}.0.0, 1 sector written");
        assert!(text.contains(&committed), "{text}");
    }
    let told = std::fs::read_to_string(&said).unwrap();
    assert_eq!(told.matches("loaded").count(), 2, "{told}");
    // It does jump: date asks for the time of day.
    let date = || {
        let mut date = Command::new("date");
        date.arg("+%s");
        date
    };
    let seconds = |output: Output| shown(&output).trim().parse::<i64>().unwrap();
    let (now, jumped) = (seconds(date().output().unwrap()), seconds(jumping(date())));
    assert!(jumped - now > 80_000, "{jumped} and {now}");
}

/// Time is measured with clocks that only go forward: `Instant`, and virtual ones. No test can set the machine's clock, so the sources are
/// read.
#[test]
fn no_clock_that_can_jump_is_used() {
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            pending.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for clock in ["SystemTime", "UNIX_EPOCH", "chrono"] {
            assert!(!text.contains(clock), "{}: {clock}", path.display());
        }
    }
    assert!(files > 50, "{files} files read");
}
