//! What the tests of the command line share: a small writer of ELF files, an application that would start, and `iapctl` itself.
//!
//! The ELF writer is written from the specification (TIS ELF 1.2) and shares no code with the reader it tests.
#![allow(dead_code)] // every test binary uses its own part

use std::path::{Path, PathBuf};

use assert_cmd::Command;

pub(crate) const BASE: u32 = 0x0802_0000;
pub(crate) const RAM: u32 = 0x2000_0000;
pub(crate) const RAM_END: u32 = 0x2002_0000;

/// A section with content, or without (NOBITS).
#[derive(Clone)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Where its bytes go (LMA).
    pub(crate) load: u32,
    /// Where the program expects them (VMA).
    pub(crate) run: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) kind: u32,
}

impl Section {
    pub(crate) fn new(name: &'static str, address: u32, data: Vec<u8>) -> Self {
        Self {
            name,
            load: address,
            run: address,
            data,
            kind: 1, // SHT_PROGBITS
        }
    }
}

/// An ELF file with one PT_LOAD per section.
pub(crate) fn elf(sections: &[Section]) -> Vec<u8> {
    elf_with_notes(sections, &[])
}

/// Section headers and their names.
struct Table {
    names: Vec<u8>,
    headers: Vec<u8>,
}

impl Table {
    /// `fields`: what follows sh_name.
    fn add(&mut self, name: &str, fields: [u32; 9]) {
        let at = self.names.len() as u32;
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        words(&mut self.headers, &[at]);
        words(&mut self.headers, &fields);
    }
}

/// The same, and sections that are in the file alone: no address, no SHF_ALLOC, in no segment.
pub(crate) fn elf_with_notes(sections: &[Section], notes: &[(&str, &[u8])]) -> Vec<u8> {
    let content = 52 + 32 * sections.len() as u32;
    let mut data = Vec::new();
    let mut offsets = Vec::new();
    for section in sections {
        offsets.push(content + data.len() as u32);
        data.extend_from_slice(&section.data);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut table = Table {
        names: vec![0],
        headers: vec![0u8; 40],
    };
    for (section, offset) in sections.iter().zip(&offsets) {
        let len = section.data.len() as u32;
        // sh_flags: SHF_ALLOC
        let fields = [section.kind, 2, section.run, *offset, len, 0, 0, 4, 0];
        table.add(section.name, fields);
    }
    for (note, bytes) in notes {
        let (at, len) = (content + data.len() as u32, bytes.len() as u32);
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(4), 0);
        table.add(note, [1, 0, 0, at, len, 0, 0, 1, 0]);
    }
    let names_at = content + data.len() as u32;
    let names_len = (table.names.len() + ".shstrtab".len() + 1) as u32;
    table.add(".shstrtab", [3, 0, 0, names_at, names_len, 0, 0, 1, 0]);
    let Table { names, headers } = table;

    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    words(
        &mut file,
        &[
            40 << 16 | 2,
            1,
            BASE | 1,
            52,
            names_at + names.len() as u32,
            0x0500_0400,
        ],
    );
    let sections_count = (sections.len() + notes.len()) as u32 + 2;
    words(
        &mut file,
        &[32 << 16 | 52, 40 << 16 | sections.len() as u32],
    );
    words(&mut file, &[(sections_count - 1) << 16 | sections_count]);
    for (section, offset) in sections.iter().zip(&offsets) {
        let len = section.data.len() as u32;
        words(
            &mut file,
            &[1, *offset, section.run, section.load, len, len, 5, 4],
        );
    }
    file.extend_from_slice(&data);
    file.extend_from_slice(&names);
    file.extend_from_slice(&headers);
    file
}

pub(crate) fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// An application; as it comes from [`App::good`] it would start on a board with the full flash map.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) base: u32,
    pub(crate) stack: u32,
    pub(crate) reset: u32,
    pub(crate) vectors: Vec<u32>,
    /// Halfwords of code behind the vector table.
    pub(crate) code: Vec<u16>,
    pub(crate) more: Vec<Section>,
}

impl App {
    pub(crate) fn good() -> Self {
        Self::at(BASE)
    }

    /// 98 vectors, 512 bytes of code at `base` + 0x200, and 16 bytes of initialised data.
    pub(crate) fn at(base: u32) -> Self {
        let handler = base + 0x211;
        let mut vectors = vec![handler; 98];
        for reserved in [7, 8, 9, 10, 13] {
            vectors[reserved] = 0;
        }
        let data = Section {
            run: RAM,
            ..Section::new(".data", base + 0x400, vec![0x5A; 16])
        };
        Self {
            base,
            stack: RAM_END,
            reset: base + 0x201,
            vectors,
            code: vec![0xBF00; 256],
            more: vec![data],
        }
    }

    pub(crate) fn sections(&self) -> Vec<Section> {
        let mut table = Vec::new();
        words(&mut table, &[self.stack, self.reset]);
        words(&mut table, &self.vectors[2..]);
        let code = self.code.iter().flat_map(|h| h.to_le_bytes()).collect();
        let mut sections = vec![
            Section::new(".isr_vector", self.base, table),
            Section::new(".text", self.base + 0x200, code),
        ];
        sections.extend(self.more.iter().cloned());
        sections
    }

    pub(crate) fn elf(&self) -> Vec<u8> {
        elf(&self.sections())
    }

    /// The bytes for the flash, gaps filled with 0xFF.
    pub(crate) fn bin(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for section in self.sections() {
            let at = (section.load - self.base) as usize;
            bytes.resize(at, 0xFF);
            bytes.extend_from_slice(&section.data);
        }
        bytes
    }
}

/// A folder with files in it, gone at the end of the test.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The names of all files, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = (std::fs::read_dir(self.0.path()).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// What a run of `iapctl` said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }

    /// Both streams contain `text` between them, wherever lines were broken.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        let unwrapped = all.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            all.contains(text) || unwrapped.contains(text),
            "expected {text:?} in:\n{all}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn never_says(&self, text: &str) -> &Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(!all.contains(text), "did not expect {text:?} in:\n{all}");
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("one JSON document on stdout")
    }
}

/// Runs `iapctl` without the environment's profile.
pub(crate) fn iapctl<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Said {
    let output = Command::cargo_bin("iapctl")
        .unwrap()
        .args(args)
        .env_remove("IAPCTL_PROFILE")
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap();
    Said {
        code: output.status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `iapctl convert INPUT -o OUTPUT` with `more`.
pub(crate) fn convert(input: &Path, output: &Path, more: &[&str]) -> Said {
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    iapctl(["convert", input, "-o", output].iter().chain(more))
}

/// `iapctl verify-image FILE`.
pub(crate) fn verify(file: &Path) -> Said {
    iapctl([std::ffi::OsStr::new("verify-image"), file.as_os_str()])
}

/// `iapctl verify-image` on these bytes.
pub(crate) fn verify_bytes(bytes: &[u8]) -> Said {
    let folder = Folder::new();
    verify(&folder.file("app", bytes))
}

pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/elf-cases")
        .join(name)
}

/// A tool of another project to compare with, or `None` after saying so; without it a run under CI=true fails.
pub(crate) fn peer(program: &str) -> Option<std::process::Command> {
    iap_peers::find_or_skip(program).map(std::process::Command::new)
}
