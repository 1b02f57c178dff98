//! A headless browser and its WebDriver server: started for one test, gone with it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use iap_peers::find_or_skip;
use serde_json::{Value, json};

/// For everything that a page or the board does; a machine with other work to do is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Browsers make no narrower windows. Chromium plays phones.
pub(crate) const SMALLEST_WINDOW: u32 = 500;
const STEP: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Chromium,
    Firefox,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
        }
    }

    /// The browser and its driver; `None` where one is missing, which is said, and fails under CI=true.
    fn programs(self) -> Option<(PathBuf, PathBuf)> {
        let (browser, driver) = match self {
            Self::Chromium => ("chromium", "chromedriver"),
            Self::Firefox => ("firefox-esr", "geckodriver"),
        };
        let (browser, driver) = (find_or_skip(browser)?, find_or_skip(driver)?);
        Some((browser, driver))
    }
}

fn target_folder() -> PathBuf {
    // Tests are run in target/PROFILE/deps.
    let test = env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_path_buf()
}

/// How a browser is to be.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) script: bool,
    pub(crate) dark: bool,
    /// Width and height of the window.
    pub(crate) size: (u32, u32),
}

pub(crate) const DESK: Options = Options {
    script: true,
    dark: false,
    size: (1000, 800),
};

/// A running browser.
pub(crate) struct Browser {
    pub(crate) client: Client,
    kind: Kind,
    _driver: Driver,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, if it is here.
    pub(crate) async fn start(kind: Kind, options: Options) -> Option<Self> {
        let (browser, program) = kind.programs()?;
        let profile = tempfile::tempdir().unwrap();
        let (driver, address) = start_driver(kind, &program, profile.path());
        let capabilities = match kind {
            Kind::Chromium => chromium(&browser, profile.path(), options),
            Kind::Firefox => firefox(&browser, options),
        };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{address}"))
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        let (width, height) = options.size;
        client.set_window_size(width, height).await.unwrap();
        Some(Self {
            client,
            kind,
            _driver: driver,
            address,
            session,
            _profile: profile,
        })
    }

    /// Waits for an element that is shown.
    pub(crate) async fn shown(&self, css: &str) -> Element {
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            tokio::time::sleep(STEP).await;
        }
        self.shoot("failure").await;
        panic!("{css} is not shown: {}", self.text().await);
    }

    /// Waits for `text` in the element; all of its text.
    pub(crate) async fn reads(&self, css: &str, text: &str) -> String {
        let mut last = String::new();
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && let Ok(found) = element.text().await
            {
                last = found;
                if last.contains(text) {
                    return last;
                }
            }
            tokio::time::sleep(STEP).await;
        }
        self.shoot("failure").await;
        panic!(
            "{css} reads {last:?} instead of {text:?}: {}",
            self.text().await
        );
    }

    /// Waits until the element has no text.
    pub(crate) async fn reads_nothing(&self, css: &str) {
        let empty = format!("{css}:empty");
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if self.client.find(Locator::Css(&empty)).await.is_ok() {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
        self.shoot("failure").await;
        panic!("{css} is not empty: {}", self.text().await);
    }

    /// All that the page says.
    pub(crate) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        self.shown(css).await.click().await.unwrap();
    }

    pub(crate) async fn type_in(&self, css: &str, text: &str) {
        let element = self.shown(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Keeps a picture of the page in `target/screenshots`.
    pub(crate) async fn shoot(&self, name: &str) {
        let folder = target_folder().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}-{name}.png", self.kind.name()));
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(&file, picture).unwrap();
        println!("screenshot {}", file.display());
    }
}

impl Drop for Browser {
    /// Ends the session, which ends the browser, before the driver: also after a panic, when nothing can be awaited any more.
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let request = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.session, self.address
            );
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(request.as_bytes());
            let _ = BufReader::new(stream).read_line(&mut String::new());
        }
    }
}

/// A browser's driver, which leads a group of processes.
struct Driver(Child);

impl Drop for Driver {
    /// A browser that did not end goes with it: it is in its group.
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Starts a driver on a port of its own choice, which it names on standard output.
fn start_driver(kind: Kind, program: &Path, home: &Path) -> (Driver, SocketAddr) {
    let mut command = Command::new(program);
    match kind {
        Kind::Chromium => command.arg("--port=0"),
        Kind::Firefox => command
            .args(["--port", "0"])
            .arg("--profile-root")
            .arg(home),
    };
    let child = command
        .env("HOME", home)
        // chromedriver answers first and removes its folder afterwards, if it is not killed by then.
        .env("TMPDIR", home)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut driver = Driver(child);
    let mut lines = BufReader::new(driver.0.stdout.take().unwrap()).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| port(&line));
    // The pipe must not fill up, or the driver stops.
    std::thread::spawn(move || lines.for_each(drop));
    let port = port.expect("the driver names its port");
    (driver, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// `... started successfully on port 1234.`, `... Listening on 127.0.0.1:1234`
fn port(line: &str) -> Option<u16> {
    let end = line.trim_end_matches('.');
    let number = end.rsplit([' ', ':']).next()?;
    (line.contains("successfully on port") || line.contains("Listening on"))
        .then(|| number.parse().ok())?
}

fn chromium(program: &Path, home: &Path, options: Options) -> Capabilities {
    let mut arguments = vec![
        "--headless=new".into(),
        "--no-sandbox".into(), // tests may run as root
        "--disable-dev-shm-usage".into(),
        "--disable-gpu".into(),
        "--no-first-run".into(),
        "--disable-background-networking".into(),
        format!("--user-data-dir={}", home.join("chromium").display()),
    ];
    if options.dark {
        arguments.push("--blink-settings=preferredColorScheme=0".into());
    }
    let script = if options.script { 1 } else { 2 };
    let mut chrome = json!({
        "binary": program,
        "args": arguments,
        "prefs": { "profile.managed_default_content_settings.javascript": script },
    });
    let (width, height) = options.size;
    if width < SMALLEST_WINDOW {
        let phone = json!({ "width": width, "height": height, "pixelRatio": 2, "touch": true });
        chrome["mobileEmulation"] = json!({ "deviceMetrics": phone });
    }
    capabilities(json!({ "browserName": "chrome", "goog:chromeOptions": chrome }))
}

fn firefox(program: &Path, options: Options) -> Capabilities {
    capabilities(json!({
        "browserName": "firefox",
        "moz:firefoxOptions": {
            "binary": program,
            "args": ["-headless"],
            "prefs": {
                "javascript.enabled": options.script,
                // Of an upload, what the kernel has taken is delivered even when the browser is gone.
                "network.tcp.sendbuffer": 16384,
                "layout.css.prefers-color-scheme.content-override": if options.dark { 0 } else { 1 },
            },
        }
    }))
}

fn capabilities(value: Value) -> Capabilities {
    match value {
        Value::Object(map) => map,
        _ => Capabilities::new(),
    }
}
