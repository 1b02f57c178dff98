//! From an image to a `.iap` file: the header in front of the payload.

use iap_protocol::crc::crc32;
use iap_protocol::header::{ANY_BOARD, BOARD_LEN, Flags, HEADER_LEN, ImageHeader, PayloadDigest};
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::{FlashMap, MAX_SECTORS, MemoryMap, Region};
use iap_protocol::version::Version;
use sha2::{Digest, Sha256};

use super::Image;
use crate::failure::{Exit, Failure};

/// What the user wants in the header, whatever the application says about itself.
#[derive(Clone, PartialEq, Eq, Default, Debug, clap::Args)]
#[command(next_help_heading = "Image header")]
pub struct HeaderOverrides {
    /// Version of the application (semver) [default: from .iap_info, else 0.0.0]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
    /// Board id the image is for, or "any" [default: from .iap_info, else any]
    #[arg(long, value_name = "BOARD", value_parser = board_id)]
    pub board: Option<String>,
    /// The application must confirm its start, or the board returns to IAP mode
    #[arg(long)]
    pub confirm: bool,
    /// The image brings content for the data sectors of the application
    #[arg(long)]
    pub data: bool,
    /// Security counter: boards refuse images with a lower one than they have seen
    #[arg(long, value_name = "N")]
    pub security_counter: Option<u32>,
    /// Oldest IAP firmware that may install the image (major.minor.patch)
    #[arg(long, value_name = "VERSION", value_parser = plain_version)]
    pub min_iap: Option<Version>,
}

fn board_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > BOARD_LEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "a board id has 1 to {BOARD_LEN} printable characters without spaces"
        ));
    }
    Ok(text.to_owned())
}

fn plain_version(text: &str) -> Result<Version, String> {
    let version: Version = text.parse().map_err(|error| format!("{error}"))?;
    if version.suffix.is_empty() {
        Ok(version)
    } else {
        Err("an IAP firmware version is major.minor.patch and nothing else".into())
    }
}

impl HeaderOverrides {
    /// The options that were given.
    pub fn given(&self) -> Vec<&'static str> {
        [
            (self.version.is_some(), "--version"),
            (self.board.is_some(), "--board"),
            (self.confirm, "--confirm"),
            (self.data, "--data"),
            (self.security_counter.is_some(), "--security-counter"),
            (self.min_iap.is_some(), "--min-iap"),
        ]
        .into_iter()
        .filter_map(|(given, option)| given.then_some(option))
        .collect()
    }
}

impl Image {
    /// The header and the whole `.iap` file, header included. A file that was a `.iap` already keeps its header.
    pub fn to_iap(
        &self,
        overrides: &HeaderOverrides,
        map: &MemoryMap,
    ) -> Result<(ImageHeader, Vec<u8>), Failure> {
        let header = self.header_with(overrides, map)?;
        let file = self.with_header(&header);
        Ok((header, file))
    }

    /// The header, with what the user wants in it.
    pub fn header_with(
        &self,
        overrides: &HeaderOverrides,
        map: &MemoryMap,
    ) -> Result<ImageHeader, Failure> {
        self.header_from(overrides, || self.new_header(map))
    }

    /// The same without digest and sector CRCs, for those who only tell people about it.
    pub fn described(&self) -> Result<ImageHeader, Failure> {
        self.header_from(&HeaderOverrides::default(), || self.description())
    }

    fn header_from(
        &self,
        overrides: &HeaderOverrides,
        new: impl FnOnce() -> Result<ImageHeader, Failure>,
    ) -> Result<ImageHeader, Failure> {
        Ok(match &self.header {
            Some(header) if *overrides == HeaderOverrides::default() => header.clone(),
            Some(header) if header.is_signed() => {
                return Err(Failure::new(
                    Exit::Usage,
                    "the image is signed: its header cannot be changed without breaking the signature",
                )
                .help("leave the header options out, or sign again with them: iapctl sign --key FILE"));
            }
            Some(header) => overridden(header.clone(), overrides)?,
            None => overridden(new()?, overrides)?,
        })
    }

    /// What is known of its payload as a raw binary, which is nothing but bytes.
    pub fn described_as_bin(&self) -> Result<ImageHeader, Failure> {
        Ok(ImageHeader {
            build_id: ImageHeader::default().build_id,
            ..self.description_by(self.info_in_bytes.as_ref())?
        })
    }

    /// A `.iap` file.
    pub fn with_header(&self, header: &ImageHeader) -> Vec<u8> {
        debug_assert!(self.is_whole());
        let mut file = Vec::with_capacity(HEADER_LEN.saturating_add(self.payload.len()));
        file.extend_from_slice(&header.encode());
        file.extend_from_slice(&self.payload);
        file
    }

    fn new_header(&self, map: &MemoryMap) -> Result<ImageHeader, Failure> {
        debug_assert!(self.is_whole());
        Ok(ImageHeader {
            digest: PayloadDigest::Sha256(Sha256::digest(&self.payload).into()),
            sector_crc32: sector_crcs(&map.flash, self.load_address, &self.payload),
            ..self.description()?
        })
    }

    fn description(&self) -> Result<ImageHeader, Failure> {
        self.description_by(self.info.as_ref())
    }

    fn description_by(&self, info: Option<&ImageInfo>) -> Result<ImageHeader, Failure> {
        let too_large = |_| Failure::new(Exit::BadImage, "the payload is larger than 4 GiB");
        Ok(ImageHeader {
            flags: info.map(|info| info.flags).unwrap_or_default(),
            board: match info {
                Some(info) => info.board.clone(),
                None => board(ANY_BOARD)?,
            },
            version: info.map(|info| info.version.clone()).unwrap_or_default(),
            build_id: self.build_id,
            load_address: self.load_address,
            payload_size: u32::try_from(self.size).map_err(too_large)?,
            payload_crc32: self.crc32,
            ..ImageHeader::default()
        })
    }
}

/// Text of a checked length as the header's own string type.
fn board<T: for<'a> TryFrom<&'a str>>(id: &str) -> Result<T, Failure> {
    T::try_from(id).map_err(|_| Failure::new(Exit::Usage, format!("board id {id} is too long")))
}

fn overridden(mut header: ImageHeader, wanted: &HeaderOverrides) -> Result<ImageHeader, Failure> {
    if let Some(version) = &wanted.version {
        header.version = version.clone();
    }
    if let Some(id) = &wanted.board {
        header.board = board(id)?;
    }
    if wanted.confirm {
        header.flags = header.flags.union(Flags::CONFIRM);
    }
    if wanted.data {
        header.flags = header.flags.union(Flags::DATA);
    }
    if let Some(counter) = wanted.security_counter {
        header.security_counter = counter;
    }
    if let Some(version) = &wanted.min_iap {
        header.min_iap_version = version.numbers();
    }
    Ok(header)
}

/// CRC-32 of the payload's bytes in each sector, by sector number; zero for sectors it does not touch.
pub(super) fn sector_crcs(
    flash: &FlashMap,
    load_address: u32,
    payload: &[u8],
) -> [u32; MAX_SECTORS] {
    let mut crcs = [0; MAX_SECTORS];
    for (crc, sector) in crcs.iter_mut().zip(flash.sectors()) {
        let bytes = bytes_in(sector.region, load_address, payload);
        if !bytes.is_empty() {
            *crc = crc32(bytes);
        }
    }
    crcs
}

/// The bytes of a payload at `load_address` that lie in `region`.
fn bytes_in(region: Region, load_address: u32, payload: &[u8]) -> &[u8] {
    let offset = |address: u64| {
        let offset = address.saturating_sub(u64::from(load_address));
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(payload.len())
    };
    payload
        .get(offset(u64::from(region.start))..offset(region.end()))
        .unwrap_or_default()
}
