//! What a profile holds, as the files spell it: a struct per table, a field per key with `-` for `_`.
//!
//! Numbers keep the unit of their key. `profiles/README.md` gives the defaults; they are in `defaults.toml`, not here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use iap_protocol::memory::Region;
use iap_protocol::status::Policy;
use serde::{Deserialize, Serialize};

use crate::ethernet::EthernetSettings;
use crate::value::{
    Ipv4Network, Pin, PublicKey, address, board_id, credential, host_name, ipv4, pin_or_none, range,
};

/// All tables of a profile.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The chip as the profile names it.
    pub chip: String,
    /// What image headers must say to be for this board: 1 to 32 characters.
    #[serde(deserialize_with = "board_id")]
    pub board_id: String,
    /// One line for people.
    pub description: String,
    /// LEDs, in the order in which the firmware uses them.
    pub leds: Vec<PinSettings>,
    /// RAM regions.
    pub ram: Vec<RamSettings>,
    /// The core.
    pub core: CoreSettings,
    /// The supply voltage.
    pub supply: SupplySettings,
    /// The flash.
    pub flash: FlashSettings,
    /// Flash maps to choose from with [`IapSettings::flash_map`].
    pub flash_maps: BTreeMap<String, FlashMapSettings>,
    /// The clock.
    pub clock: ClockSettings,
    /// MAC and PHY.
    pub ethernet: EthernetSettings,
    /// IPv4.
    pub network: NetworkSettings,
    /// The login of the HTTP server.
    pub http: HttpSettings,
    /// The IAP firmware's behaviour.
    pub iap: IapSettings,
    /// The key that keeps the board in IAP mode at reset.
    pub iap_key: KeySettings,
}

/// The level of a pin that means "on" or "pressed".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// 0 V.
    Low,
    /// The supply voltage.
    High,
}

/// An output with a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PinSettings {
    /// The pin.
    pub pin: Pin,
    /// The level at which it is on.
    pub active: Level,
}

/// The IAP key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeySettings {
    /// The pin; `None` for a board without a key.
    #[serde(deserialize_with = "pin_or_none")]
    pub pin: Option<Pin>,
    /// The level of the pressed key.
    pub active: Level,
}

/// A RAM region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RamSettings {
    /// Its name in linker scripts.
    pub name: String,
    /// First address.
    #[serde(deserialize_with = "address")]
    pub address: u32,
    /// Size in KiB.
    #[serde(deserialize_with = "range::<_, _, 1, 65536>")]
    pub size_kib: u32,
    /// Whether the Ethernet DMA reaches it.
    pub ethernet_dma: bool,
}

impl RamSettings {
    /// Its addresses.
    pub fn region(&self) -> Region {
        Region::new(self.address, self.size_kib.saturating_mul(1024))
    }
}

/// The core and its system memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CoreSettings {
    /// Words in the vector table: 16 exceptions and the interrupts.
    #[serde(deserialize_with = "range::<_, _, 16, 256>")]
    pub vector_count: u16,
    /// The highest system clock, in Hz.
    #[serde(deserialize_with = "range::<_, _, 1_000_000, 1_000_000_000>")]
    pub max_sysclk_hz: u32,
    /// Where the 96-bit unique id is.
    #[serde(deserialize_with = "address")]
    pub unique_id_address: u32,
    /// Where the chip says how much flash it has, 16 bits in KiB.
    #[serde(deserialize_with = "address")]
    pub flash_size_address: u32,
}

/// The supply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SupplySettings {
    /// The voltage below which no flash operation begins, in mV.
    #[serde(deserialize_with = "range::<_, _, 1800, 3600>")]
    pub pvd_mv: u16,
}

/// Bits that one program operation writes, and that an erase works with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parallelism {
    /// 8 bits, from 1.8 V on.
    X8,
    /// 16 bits, from 2.1 V on.
    X16,
    /// 32 bits, from 2.7 V on.
    X32,
}

/// The flash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlashSettings {
    /// First address.
    #[serde(deserialize_with = "address")]
    pub base: u32,
    /// Size in KiB.
    #[serde(deserialize_with = "range::<_, _, 1, 65536>")]
    pub size_kib: u32,
    /// The width of its operations on this board.
    pub parallelism: Parallelism,
    /// Typical time of a program operation, in us.
    #[serde(deserialize_with = "range::<_, _, 1, 100_000>")]
    pub program_typ_us: u32,
    /// Longest time of a program operation, in us.
    #[serde(deserialize_with = "range::<_, _, 1, 100_000>")]
    pub program_max_us: u32,
    /// Erase operations a sector endures.
    #[serde(deserialize_with = "range::<_, _, 1, 1_000_000_000>")]
    pub erase_cycles: u32,
    /// Its sectors, as runs of the same size.
    pub sectors: Vec<SectorRun>,
}

/// Flash sectors of the same size that follow each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SectorRun {
    /// The number of the first one.
    #[serde(deserialize_with = "range::<_, _, 0, 23>")]
    pub first: u8,
    /// How many there are.
    #[serde(deserialize_with = "range::<_, _, 1, 24>")]
    pub count: u8,
    /// The address of the first one.
    #[serde(deserialize_with = "address")]
    pub address: u32,
    /// The size of each, in KiB.
    #[serde(deserialize_with = "range::<_, _, 1, 65536>")]
    pub size_kib: u32,
    /// How long an erase takes.
    pub erase_ms: EraseTimes,
}

impl SectorRun {
    /// Whether sector `index` is one of them.
    pub fn contains(&self, index: u8) -> bool {
        (self.first..self.first.saturating_add(self.count)).contains(&index)
    }
}

/// Typical and longest time of a sector's erase, in ms, by parallelism.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EraseTimes {
    /// 8 bits.
    pub x8: [u32; 2],
    /// 16 bits.
    pub x16: [u32; 2],
    /// 32 bits.
    pub x32: [u32; 2],
}

/// Who owns which sector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlashMapSettings {
    /// Sectors of the IAP firmware.
    pub iap_sectors: Vec<u8>,
    /// The two sectors of the boot record.
    pub record_sectors: [u8; 2],
    /// Where the application begins; it goes to the end of the flash.
    #[serde(deserialize_with = "address")]
    pub user_flash_first_page_address: u32,
    /// Whether the IAP firmware that fits holds the HTTP server.
    pub http: bool,
}

/// What feeds the high-speed external clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hse {
    /// A crystal between OSC_IN and OSC_OUT.
    Crystal,
    /// A clock fed to OSC_IN.
    Bypass,
}

/// The high-speed external clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockSettings {
    /// Its frequency, in Hz.
    // DS8626 section 5.3.8: 4 to 26 MHz for a crystal, 1 to 50 MHz for a clock
    #[serde(deserialize_with = "range::<_, _, 1_000_000, 50_000_000>")]
    pub hse_hz: u32,
    /// What feeds it.
    pub hse: Hse,
}

/// IPv4.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkSettings {
    /// Whether to ask a DHCP server for an address (AN3968's USE_DHCP).
    pub use_dhcp: bool,
    /// How long to wait for the server before the static address is used, in s.
    #[serde(deserialize_with = "range::<_, _, 1, 3600>")]
    pub dhcp_fallback_s: u16,
    /// The static address.
    pub address: Ipv4Network,
    /// The gateway that goes with the static address.
    #[serde(deserialize_with = "ipv4")]
    pub gateway: Ipv4Addr,
    /// The name given to the DHCP server.
    #[serde(deserialize_with = "host_name")]
    pub host_name: String,
}

/// The login of the HTTP server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpSettings {
    /// User, 1 to 32 characters.
    #[serde(deserialize_with = "credential")]
    pub user: String,
    /// Password, 1 to 32 characters.
    #[serde(deserialize_with = "credential")]
    pub password: String,
}

/// What a reset checks before it starts the committed application.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootCheck {
    /// The CRC-32 of what is in flash: finds accidents.
    Crc,
    /// The signature of its header, and the digest of what is in flash.
    Signature,
}

/// The IAP firmware's behaviour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IapSettings {
    /// The name of the flash map.
    pub flash_map: String,
    /// Instead of the flash map's.
    #[serde(default, deserialize_with = "optional_address")]
    pub user_flash_first_page_address: Option<u32>,
    /// Instead of the flash map's.
    #[serde(default)]
    pub iap_sectors: Option<Vec<u8>>,
    /// Instead of the flash map's.
    #[serde(default)]
    pub record_sectors: Option<[u8; 2]>,
    /// Sectors of user flash that hold the application's own data.
    pub data_sectors: Vec<u8>,
    /// Who may install what.
    pub policy: Policy,
    /// Keys whose signatures count. The index in this list is the key id in image headers.
    pub public_keys: Vec<PublicKey>,
    /// The lowest security counter an image may have, whatever the boot record says.
    #[serde(deserialize_with = "range::<_, _, 0, { u32::MAX as u64 - 1 }>")]
    pub security_counter: u32,
    /// What a reset checks before it starts an application.
    pub boot_check: BootCheck,
    /// Whether an application that nobody committed starts if its vector table is right.
    pub bare_rule: bool,
    /// Seconds from a commit over TFTP to the start of the application; 0 for never.
    #[serde(deserialize_with = "range::<_, _, 0, 3600>")]
    pub auto_start_s: u16,
    /// Seconds without a client after which a valid application is started; 0 for never.
    #[serde(deserialize_with = "range::<_, _, 0, 65535>")]
    pub iap_idle_s: u16,
    /// Seconds after power-on in which a push is awaited; 0 for none.
    #[serde(deserialize_with = "range::<_, _, 0, 3600>")]
    pub power_on_window_s: u16,
    /// The RTC backup register in which the application asks for IAP mode.
    #[serde(deserialize_with = "range::<_, _, 0, 19>")]
    pub request_backup_register: u8,
    /// The RTC backup register in which the application finds the reset cause.
    #[serde(deserialize_with = "range::<_, _, 0, 19>")]
    pub reset_cause_backup_register: u8,
}

fn optional_address<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    address(deserializer).map(Some)
}
