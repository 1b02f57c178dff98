//! A network namespace of our own, with a TAP device in it: no interface, route or server of this machine is touched, and all of it goes with
//! the test.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use iap_peers::{is_here, skip};

/// The device's name, the host's address on it, and what DHCP gives away.
pub(crate) const DEVICE: &str = "iap0";
pub(crate) const HOST: &str = "192.168.0.1";
const RANGE: &str = "192.168.0.50,192.168.0.99,1h";
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is killed when it goes out of scope.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A namespace, kept by a process that sleeps in it.
pub(crate) struct Namespace {
    holder: Running,
    /// Root's is made without a user namespace, others need one.
    of_user: bool,
}

impl Namespace {
    /// Makes one; `None`, after saying so, where this user may not or something is missing.
    pub(crate) fn new() -> Option<Self> {
        if !["dnsmasq", "ip", "ping", "nsenter"]
            .into_iter()
            .all(is_here)
        {
            return None;
        }
        let id = Command::new("id").arg("-u").output().unwrap();
        let of_user = id.stdout.trim_ascii() != b"0";
        let mut holder = Command::new("unshare");
        if of_user {
            holder.args(["--user", "--map-root-user"]);
        }
        let holder = holder.args(["--net", "sleep", "600"]);
        let holder = Running(holder.stderr(Stdio::null()).spawn().unwrap());
        let namespace = Self { holder, of_user };
        if namespace.is_made() && namespace.has_device() {
            return Some(namespace);
        }
        skip("a network namespace with a TAP device: this user may not make one");
        None
    }

    /// Waits until the process has a network of its own.
    fn is_made(&self) -> bool {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let its = of(&self.holder.0.id().to_string());
            if its.is_some() && its != of("self") {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn has_device(&self) -> bool {
        let address = format!("{HOST}/24");
        let commands: [&[&str]; 4] = [
            &["link", "set", "lo", "up"],
            &["tuntap", "add", "dev", DEVICE, "mode", "tap"],
            &["addr", "add", &address, "dev", DEVICE],
            &["link", "set", DEVICE, "up"],
        ];
        commands.iter().all(|arguments| {
            let ran = self.command("ip").args(*arguments).status();
            ran.is_ok_and(|status| status.success())
        })
    }

    /// A program that will run inside.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.0.id().to_string(), "--net"]);
        if self.of_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// dnsmasq as DHCP server, that and nothing else.
    pub(crate) fn dnsmasq(&self, leases: &std::path::Path) -> Running {
        let mut dnsmasq = self.command("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"]);
        dnsmasq.args([
            "--bind-interfaces",
            "--no-ping",
            "--user=root",
            "--pid-file=",
        ]);
        dnsmasq
            .arg(format!("--interface={DEVICE}"))
            .arg(format!("--dhcp-range={RANGE}"))
            .arg(format!("--dhcp-leasefile={}", leases.display()));
        let dnsmasq = dnsmasq.stdout(Stdio::null()).stderr(Stdio::null());
        Running(dnsmasq.spawn().unwrap())
    }

    /// Runs a command to its end; its output, which must be that of success.
    #[track_caller]
    pub(crate) fn succeeds(&self, command: &mut Command) -> String {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while running.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{command:?} does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let read = |from: &mut dyn std::io::Read| {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        };
        let out = read(running.0.stdout.as_mut().unwrap());
        let text = out + &read(running.0.stderr.as_mut().unwrap());
        let status = running.0.wait().unwrap();
        assert!(status.success(), "{command:?}: {status}\n{text}");
        text
    }
}

/// Waits for something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    is_there_in_time(look).unwrap_or_else(|| panic!("{what} has not come"))
}

/// The same; nothing if it does not come.
pub(crate) fn is_there_in_time<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}
