//! Reading ELF: the bytes are those of the PT_LOAD segments at their physical addresses (LMA), cut to the sections inside them.
//!
//! The section headers are needed because a linker also writes into a segment what is no content: zeros for NOLOAD sections and for
//! alignment, and sometimes the ELF header itself. Such bytes are gaps here, and become the fill. Without section headers the
//! segments are taken as they are. Symbols and debug information are not read.

use iap_profile::{FIRMWARE_BOARD_SECTION as BOARD, FIRMWARE_RULES_SECTION as RULES};
use iap_protocol::header::is_board_id;
use iap_protocol::info::{ImageInfo, SECTION_NAME};
use iap_protocol::memory::{Region, Size};
use object::LittleEndian as Le;
use object::elf::{self, FileHeader32, ProgramHeader32, SectionHeader32};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::read::{ReadRef, StringTable};

use super::assemble::{Content, Origin, Part, assemble};
use super::finding::{Finding, Severity};
use super::intake::Intake;
use super::{Format, Image, LoadOptions, Place};
use crate::failure::{Exit, Failure};
use crate::output::one_line;

/// The first bytes of an ELF file.
pub(super) const MAGIC: [u8; 4] = elf::ELFMAG;

/// What tells for which machine it is.
const IDENTITY_LEN: u64 = 20;

/// So much of a section's name is shown.
const MAX_NAME_LEN: usize = 80;
const LINK_AGAIN: &str = "copy the file again, or link it again";

/// Reads an executable for a 32-bit little-endian ARM: its tables from `data`, what is loaded from `origin`.
pub(super) fn read<'a>(
    data: impl ReadRef<'a>,
    origin: Origin<'a>,
    options: &LoadOptions,
    intake: Intake<'_>,
) -> Result<Image, Failure> {
    let file = File::open(data, origin)?;
    let mut findings = Vec::new();
    let parts = file.parts(&mut findings)?;
    if parts.is_empty() {
        return Err(Failure {
            findings,
            ..file.nothing_to_load()
        });
    }
    let mut image = assemble(Format::Elf, parts, options, intake)?;
    image.findings.extend(findings);
    image.build_id = file.build_id();
    image.firmware_board = file.text_in(BOARD).filter(|id| is_board_id(id));
    image.firmware_rules = file.text_in(RULES);
    image.vector_table_len = vector_table_len(&image);
    file.read_info(&mut image);
    Ok(image)
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Exit::BadImage, message)
}

/// The parsed tables of an ELF file.
struct File<'a, R: ReadRef<'a>> {
    data: R,
    origin: Origin<'a>,
    header: &'a FileHeader32<Le>,
    segments: &'a [ProgramHeader32<Le>],
    sections: Sections<'a>,
}

/// Section headers, and their names in memory: asked for one by one, each would be a system call of its own.
type Sections<'a> = SectionTable<'a, FileHeader32<Le>, &'a [u8]>;

impl<'a, R: ReadRef<'a>> File<'a, R> {
    fn open(data: R, origin: Origin<'a>) -> Result<Self, Failure> {
        let len = len_of(data);
        let identity = data.read_bytes_at(0, len.min(IDENTITY_LEN));
        check_identity(identity.unwrap_or_default())?;
        let broken =
            |error: object::Error| bad(format!("damaged ELF file: {error}")).help(LINK_AGAIN);
        let header = FileHeader32::<Le>::parse(data).map_err(broken)?;
        check_complete(data, header)?;
        let file = Self {
            data,
            origin,
            header,
            segments: header.program_headers(Le, data).map_err(broken)?,
            sections: sections(header, data).map_err(broken)?,
        };
        file.check_linked()?;
        Ok(file)
    }

    fn check_linked(&self) -> Result<(), Failure> {
        match self.header.e_type(Le) {
            elf::ET_EXEC => Ok(()),
            elf::ET_REL => Err(bad(format!(
                "this is an object file (ET_REL), not a linked program: {} no address yet",
                self.listed_sections("has", "have")
            ))
            .help("link it first: arm-none-eabi-gcc ... -T app.ld -o app.elf, or cargo build")),
            elf::ET_DYN => Err(bad(format!(
                "this is position-independent (ET_DYN), not linked for a fixed address: {} no final address",
                self.listed_sections("has", "have")
            ))
            .help("C: link with -static and without -pie; Rust: set relocation-model=static")),
            other => Err(bad(format!("ELF file of type {}, expected an executable (ET_EXEC)", other.0))),
        }
    }

    fn name(&self, section: &SectionHeader32<Le>) -> String {
        let name = self.sections.section_name(Le, section).unwrap_or_default();
        // Whoever made the file chose it.
        let name = one_line(&String::from_utf8_lossy(name));
        name.chars().take(MAX_NAME_LEN).collect()
    }

    /// Sections that exist in memory, with content or without.
    fn allocated(&self) -> impl Iterator<Item = &'a SectionHeader32<Le>> + '_ {
        self.sections.iter().filter(|section| {
            section.sh_flags(Le).0 & elf::SHF_ALLOC.0 != 0 && section.sh_size(Le) > 0
        })
    }

    /// Sections whose bytes are in the file.
    fn with_content(&self) -> impl Iterator<Item = &'a SectionHeader32<Le>> + '_ {
        self.allocated()
            .filter(|section| section.sh_type(Le) != elf::SHT_NOBITS)
    }

    fn loads(&self) -> impl Iterator<Item = &'a ProgramHeader32<Le>> + '_ {
        self.segments
            .iter()
            .filter(|segment| segment.p_type(Le) == elf::PT_LOAD && segment.p_filesz(Le) > 0)
    }

    fn parts(&self, findings: &mut Vec<Finding>) -> Result<Vec<Part<'a>>, Failure> {
        if self.with_content().next().is_none() {
            return self.segment_parts();
        }
        // Sections share no bytes of a sound file, so their content is no larger than it.
        let content: u64 = self.with_content().map(|s| u64::from(s.sh_size(Le))).sum();
        let len = len_of(self.data);
        if content > len {
            let what = format!(
                "damaged ELF file: its sections claim {content} bytes of content, the file has {len}"
            );
            return Err(bad(what).help(LINK_AGAIN));
        }
        let mut parts = Vec::new();
        for section in self.with_content() {
            match self.loads().find(|segment| holds(segment, section)) {
                Some(segment) => parts.push(self.section_part(section, segment)?),
                None => findings.push(self.not_loaded(section)),
            }
        }
        Ok(parts)
    }

    fn section_part(
        &self,
        section: &SectionHeader32<Le>,
        segment: &ProgramHeader32<Le>,
    ) -> Result<Part<'a>, Failure> {
        let into_segment = section.sh_offset(Le).saturating_sub(segment.p_offset(Le));
        let place = place(
            format!("`{}`", self.name(section)),
            segment.p_paddr(Le).checked_add(into_segment),
            section.sh_addr(Le),
            section.sh_size(Le),
        )?;
        Ok(self.part(place, section.sh_offset(Le)))
    }

    /// What is left when the section headers were stripped.
    fn segment_parts(&self) -> Result<Vec<Part<'a>>, Failure> {
        let mut parts = Vec::new();
        for (i, segment) in self.segments.iter().enumerate() {
            if segment.p_type(Le) != elf::PT_LOAD || segment.p_filesz(Le) == 0 {
                continue;
            }
            if segment.p_offset(Le) == 0 {
                return Err(bad(format!(
                    "segment {i} at {:#010x} begins with the ELF header, and the section headers that would tell it from content were stripped",
                    segment.p_paddr(Le)
                ))
                .help("convert the ELF before it is stripped, or link with -n (-nmagic)"));
            }
            let place = place(
                format!("segment {i}"),
                Some(segment.p_paddr(Le)),
                segment.p_vaddr(Le),
                segment.p_filesz(Le),
            )?;
            parts.push(self.part(place, segment.p_offset(Le)));
        }
        Ok(parts)
    }

    /// The bytes are all in the file: a segment that is not was refused, and a section lies in a segment.
    fn part(&self, place: Place, offset: u32) -> Part<'a> {
        Part {
            place,
            content: Content::Within(self.origin, offset.into()),
        }
    }

    fn not_loaded(&self, section: &SectionHeader32<Le>) -> Finding {
        let region = Region::new(section.sh_addr(Le), section.sh_size(Le));
        let what = format!(
            "section `{}` at {region} has content, but no PT_LOAD segment loads it",
            self.name(section)
        );
        Finding::new(Severity::Error, "section-not-loaded", what)
            .why("the program expects bytes there that nothing writes into the flash")
            .mend("remove the PHDRS command or the :NONE behind the section in the linker script, or mark the section NOLOAD")
    }

    fn nothing_to_load(&self) -> Failure {
        bad(format!(
            "nothing to load: {} no content for the flash",
            self.listed_sections("has", "have")
        ))
        .help("the linker threw everything else away: is the vector table marked KEEP(*(.isr_vector)) and the entry point set (ENTRY(Reset_Handler))?")
        .help("in Rust: is cortex-m-rt linked (use cortex_m_rt::entry) with -Tlink.x?")
    }

    /// `.data at 0x00000000 (16 bytes) and .bss at 0x00000010 (256 bytes) have`.
    fn listed_sections(&self, has: &str, have: &str) -> String {
        let all: Vec<String> = (self.allocated())
            .map(|section| {
                let (name, size) = (self.name(section), Size(section.sh_size(Le)));
                format!("`{name}` at {:#010x} ({size})", section.sh_addr(Le))
            })
            .collect();
        match all.as_slice() {
            [] => format!("no section {has}"),
            [one] => format!("{one} {has}"),
            [some @ .., last] => format!("{} and {last} {have}", some.join(", ")),
        }
    }

    fn build_id(&self) -> [u8; 20] {
        let mut id = [0; 20];
        let note = self.sections.iter().find_map(|section| {
            let mut notes = section.notes(Le, self.data).ok()??;
            std::iter::from_fn(|| notes.next().ok().flatten()).find(|note| {
                note.name() == elf::ELF_NOTE_GNU && note.n_type(Le) == elf::NT_GNU_BUILD_ID
            })
        });
        if let Some(note) = note {
            // Longer ids than SHA-1's are cut, shorter ones padded with zeros.
            id.iter_mut()
                .zip(note.desc())
                .for_each(|(to, from)| *to = *from);
        }
        id
    }

    fn text_in(&self, name: &str) -> Option<String> {
        let (_, section) = self.sections.section_by_name(Le, name.as_bytes())?;
        let text = std::str::from_utf8(section.data(Le, self.data).ok()?).ok()?;
        Some(text.to_owned())
    }

    /// The section is where the descriptor is; without one the search through the bytes stands.
    fn read_info(&self, image: &mut Image) {
        let Some((_, section)) = self.sections.section_by_name(Le, SECTION_NAME.as_bytes()) else {
            return;
        };
        image.info = ImageInfo::decode(section.data(Le, self.data).unwrap_or_default());
        if image.info.is_none() {
            let region = Region::new(section.sh_addr(Le), section.sh_size(Le));
            let what =
                format!("section `{SECTION_NAME}` at {region} is not a descriptor iapctl can read");
            image.findings.push(
                Finding::new(Severity::Warning, "info", what)
                    .why("version and board of the application are taken from it; without it they are 0.0.0 and \"any\"")
                    .mend_c("copy struct iap_info from protocol/README.md: 64 bytes, \"IAPD\" first, \"DPAI\" last")
                    .mend_rust("static INFO: [u8; 64] = iap_protocol::info::ImageInfo::encode(...) in #[link_section = \".iap_info\"]"),
            );
        }
    }
}

fn sections<'a>(
    header: &FileHeader32<Le>,
    data: impl ReadRef<'a>,
) -> Result<Sections<'a>, object::Error> {
    let sections = header.section_headers(Le, data)?;
    if sections.is_empty() {
        return Ok(Sections::default());
    }
    let names = header.section_strings_index(Le, data)?;
    let names = Sections::new(sections, StringTable::default()).section(names)?;
    // Without them the sections are nameless, and still content.
    let names = names.data(Le, data).unwrap_or_default();
    let names = StringTable::new(names, 0, names.len() as u64);
    Ok(SectionTable::new(sections, names))
}

fn place(name: String, address: Option<u32>, run_address: u32, len: u32) -> Result<Place, Failure> {
    let address = address
        .filter(|&address| u64::from(address).saturating_add(len.into()) <= 1 << 32)
        .ok_or_else(|| {
            bad(format!(
                "damaged ELF file: {name} ({len} bytes) ends past 4 GiB"
            ))
        })?;
    Ok(Place {
        name,
        address,
        run_address,
        len,
    })
}

/// A file whose length cannot be told is as good as empty.
fn len_of<'a>(data: impl ReadRef<'a>) -> u64 {
    data.len().unwrap_or(0)
}

fn holds(segment: &ProgramHeader32<Le>, section: &SectionHeader32<Le>) -> bool {
    let end = |offset: u32, size: u32| u64::from(offset).saturating_add(size.into());
    let (outer, inner) = (segment.p_offset(Le), section.sh_offset(Le));
    inner >= outer && end(inner, section.sh_size(Le)) <= end(outer, segment.p_filesz(Le))
}

/// The size of the first section, if its name says that it holds the vectors.
fn vector_table_len(image: &Image) -> Option<u32> {
    let first = image.places.first()?;
    let vectors = ["vector", "isr", "intvec"]
        .iter()
        .any(|word| first.name.contains(word));
    vectors.then(|| first.region().len)
}

/// Class, byte order and machine, before anything is read that depends on them.
fn check_identity(bytes: &[u8]) -> Result<(), Failure> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let (class, order) = (byte(4), byte(5));
    let machine = match order {
        2 => u16::from_be_bytes([byte(18), byte(19)]),
        _ => u16::from_le_bytes([byte(18), byte(19)]),
    };
    let expected = "expected 32-bit little-endian ARM (Cortex-M4)";
    let failure = if bytes.len() < 20 {
        bad(format!(
            "the ELF file ends inside its header, after {} bytes",
            bytes.len()
        ))
        .help(LINK_AGAIN)
    } else if class == 2 {
        bad(format!("this is a 64-bit ELF file for {}, {expected}", machine_name(machine)))
            .help("this looks like a program for the PC: build with arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb, or cargo build --target thumbv7em-none-eabihf")
    } else if machine != elf::EM_ARM.0 {
        bad(format!("this is an ELF file for {}, {expected}", machine_name(machine)))
            .help("build with arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb, or cargo build --target thumbv7em-none-eabihf")
    } else if order != 1 {
        bad(format!("this is a big-endian ELF file, {expected}")).help("build without -mbig-endian")
    } else {
        return Ok(());
    };
    Err(failure)
}

fn machine_name(machine: u16) -> String {
    let name = match elf::Machine(machine) {
        elf::EM_ARM => "ARM",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_386 => "x86",
        elf::EM_X86_64 => "x86-64",
        elf::EM_RISCV => "RISC-V",
        elf::EM_XTENSA => "Xtensa",
        elf::EM_AVR => "AVR",
        elf::EM_MIPS => "MIPS",
        elf::EM_PPC => "PowerPC",
        _ => return format!("machine {machine}"),
    };
    name.to_owned()
}

/// Everything the tables point to is in the file; a download that was cut off is told from a damaged file.
fn check_complete<'a>(data: impl ReadRef<'a>, header: &FileHeader32<Le>) -> Result<(), Failure> {
    let len = len_of(data);
    let table = |offset: u32, count: u16, size: u16| {
        u64::from(offset).saturating_add(u64::from(count).saturating_mul(size.into()))
    };
    let cut = |what: &str, end: u64| {
        Err(bad(format!(
            "the ELF file is cut off: {what} at 0x{end:x}, the file has {len} bytes (0x{len:x})"
        ))
        .help(LINK_AGAIN))
    };
    let end = table(
        header.e_phoff(Le),
        header.e_phnum(Le),
        header.e_phentsize(Le),
    );
    if end > len {
        return cut("its program headers end", end);
    }
    for (i, segment) in header
        .program_headers(Le, data)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let end = u64::from(segment.p_offset(Le)).saturating_add(segment.p_filesz(Le).into());
        if segment.p_type(Le) == elf::PT_LOAD && end > len {
            let region = Region::new(segment.p_paddr(Le), segment.p_filesz(Le));
            return cut(&format!("segment {i} for {region} ends"), end);
        }
    }
    let end = table(
        header.e_shoff(Le),
        header.e_shnum(Le),
        header.e_shentsize(Le),
    );
    if header.e_shoff(Le) != 0 && end > len {
        return cut("its section headers end", end);
    }
    Ok(())
}
