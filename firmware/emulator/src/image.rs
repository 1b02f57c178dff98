//! Firmware to put into the flash: ELF, Intel HEX or raw binary, and the names of its functions.
//!
//! This is what a debug probe does: bytes go where the file says, nothing is judged. `iapctl verify-image` judges.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, SymbolKind};

/// Bytes with their addresses.
#[derive(Clone, Default, Debug)]
pub struct Image {
    /// Address and bytes, in the order of the file.
    pub parts: Vec<(u32, Vec<u8>)>,
    /// The functions, if the file knows them.
    pub symbols: Symbols,
}

impl Image {
    /// Reads a file. A raw binary lies at `base`.
    pub fn load(path: &Path, base: u32) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Self::parse(&bytes, base).with_context(|| path.display().to_string())
    }

    /// As [`Image::load`], from memory.
    pub fn parse(bytes: &[u8], base: u32) -> anyhow::Result<Self> {
        match bytes {
            [0x7F, b'E', b'L', b'F', ..] => elf(bytes),
            [b':', ..] => hex(std::str::from_utf8(bytes)?),
            _ => Ok(Self {
                parts: vec![(base, bytes.to_vec())],
                symbols: Symbols::default(),
            }),
        }
    }

    /// Copies what lies in the region that begins at `base` into `memory`; an error for what lies elsewhere.
    pub fn place(&self, base: u32, memory: &mut [u8]) -> anyhow::Result<()> {
        for (address, bytes) in &self.parts {
            let start = address.checked_sub(base).map(|offset| offset as usize);
            let target = start.and_then(|start| memory.get_mut(start..start + bytes.len()));
            let Some(target) = target else {
                bail!(
                    "{} bytes at {address:#010x} are not in the flash at {base:#010x}",
                    bytes.len()
                );
            };
            target.copy_from_slice(bytes);
        }
        Ok(())
    }
}

/// What lies in RAM only (no file content) is left out; the load address is p_paddr.
fn elf(bytes: &[u8]) -> anyhow::Result<Image> {
    let file: ElfFile32<'_, Endianness> = ElfFile32::<'_, Endianness>::parse(bytes)?;
    let _: &FileHeader32<Endianness> = file.elf_header();
    let endian = file.endian();
    let mut parts = Vec::new();
    for header in file.elf_program_headers() {
        let data = header
            .data(endian, bytes)
            .map_err(|()| anyhow::anyhow!("a segment lies outside the file"))?;
        if header.p_type(endian) == PT_LOAD && !data.is_empty() {
            parts.push((header.p_paddr(endian), data.to_vec()));
        }
    }
    ensure!(!parts.is_empty(), "the ELF file has no segment to load");
    let functions = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text);
    let list = functions
        .filter_map(|symbol| Some((symbol.address() as u32 & !1, symbol.name().ok()?.to_owned())));
    Ok(Image {
        parts,
        symbols: Symbols::new(list.collect()),
    })
}

/// Intel HEX: data (00), end (01), extended segment (02) and linear (04) addresses; start addresses are ignored.
fn hex(text: &str) -> anyhow::Result<Image> {
    let mut upper = 0;
    let mut parts: Vec<(u32, Vec<u8>)> = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let record = hex_record(line.trim()).with_context(|| format!("line {}", number + 1))?;
        let (offset, kind, data) = record;
        let word = || {
            data.iter()
                .fold(0u32, |value, byte| value << 8 | u32::from(*byte))
        };
        match kind {
            0 => {
                let address = upper + u32::from(offset);
                match parts.last_mut() {
                    Some((start, bytes)) if *start + bytes.len() as u32 == address => {
                        bytes.extend(&data)
                    }
                    _ => parts.push((address, data)),
                }
            }
            1 => break,
            2 => upper = word() << 4,
            4 => upper = word() << 16,
            _ => {}
        }
    }
    Ok(Image {
        parts,
        symbols: Symbols::default(),
    })
}

fn hex_record(line: &str) -> anyhow::Result<(u16, u8, Vec<u8>)> {
    let digits = line.strip_prefix(':').context("no colon")?;
    ensure!(
        digits.len().is_multiple_of(2) && digits.is_ascii(),
        "an odd number of digits"
    );
    let pairs = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    let bytes = pairs.collect::<Result<Vec<u8>, _>>()?;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    ensure!(sum == 0, "the checksum is wrong");
    match bytes.as_slice() {
        [len, high, low, kind, data @ .., _] if data.len() == usize::from(*len) => {
            Ok((u16::from_be_bytes([*high, *low]), *kind, data.to_vec()))
        }
        _ => bail!("the length is wrong"),
    }
}

/// Functions by address.
#[derive(Clone, Default, Debug)]
pub struct Symbols(Vec<(u32, String)>);

impl Symbols {
    fn new(mut list: Vec<(u32, String)>) -> Self {
        list.sort();
        Self(list)
    }

    /// Adds the functions of another program in the same flash.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort();
    }

    /// The address of a function.
    pub fn address(&self, name: &str) -> Option<u32> {
        self.0
            .iter()
            .find(|(_, known)| known == name)
            .map(|(address, _)| *address)
    }

    /// An address in words: the function and the offset in it, where that is known.
    pub fn describe(&self, address: u32) -> String {
        let index = self.0.partition_point(|(start, _)| *start <= address);
        match index.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some((start, name)) if address - start < 0x1_0000 => {
                format!(
                    "{address:#010x} {:#}+{:#x}",
                    rustc_demangle::demangle(name),
                    address - start
                )
            }
            _ => format!("{address:#010x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_follows_extended_addresses_and_joins_neighbours() {
        let text = ":020000040800F2\n:0400000001020304F2\n:0400040005060708DE\n:00000001FF\n";
        let image = Image::parse(text.as_bytes(), 0).unwrap();
        assert_eq!(image.parts, [(0x0800_0000, vec![1, 2, 3, 4, 5, 6, 7, 8])]);
    }

    #[test]
    fn a_broken_hex_line_is_named() {
        let error = Image::parse(b":020000040800F2\n:0400000001020304F3\n", 0).unwrap_err();
        assert_eq!(format!("{error:#}"), "line 2: the checksum is wrong");
    }

    #[test]
    fn what_does_not_lie_in_the_flash_is_refused() {
        let image = Image::parse(&[1, 2, 3, 4], 0x0800_0FFE).unwrap();
        let error = image.place(0x0800_0000, &mut [0; 0x1000]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4 bytes at 0x08000ffe are not in the flash at 0x08000000"
        );
    }
}
