//! What the firmware knows about its board, from the profile: a constant in the chip's flash, a parsed file in the simulator. The MAC address is
//! not in it: it may be derived from the chip's unique id.

use iap_protocol::memory::MemoryMap;
use iap_protocol::status::Policy;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// The configuration of one board.
#[derive(Clone, Debug)]
pub struct Config {
    /// Board id, compared with the one in image headers.
    pub board: &'static str,
    /// Where everything lies; [`MemoryMap::check`] has accepted it.
    pub map: MemoryMap,
    /// Who may do what; to be asked by [`Config::policy`].
    pub policy: Policy,
    /// Lets the vector table check alone decide for applications programmed with a probe; never with [`Policy::Signed`], so
    /// [`Config::has_bare_rule`] says whether it counts.
    pub bare_rule: bool,
    /// The keys whose signatures count, by key id.
    pub public_keys: &'static [[u8; 32]],
    /// The lowest security counter an image may have, whatever the record says.
    pub security_counter: u32,
    /// A reset checks the signature and the digest of what it starts, not only its CRC.
    pub boot_signature: bool,
    /// HTTP login.
    pub user: &'static str,
    /// HTTP login.
    pub password: &'static str,
    /// Network.
    pub network: NetworkConfig,
    /// Seconds from a TFTP commit to the reset that starts the application; 0: reset by hand, as AN3968 has it.
    pub auto_start_s: u16,
    /// Seconds without any client after which IAP mode gives way to a valid application; 0: never.
    pub iap_idle_s: u16,
    /// Seconds at power-on in which a push is awaited before the application starts; 0: none.
    pub power_on_window_s: u16,
}

impl Config {
    /// Who may do what. With the feature `signed-only` known at compile time.
    pub fn policy(&self) -> Policy {
        match cfg!(feature = "signed-only") {
            true => Policy::Signed,
            false => self.policy,
        }
    }

    /// Whether the vector table alone may decide.
    pub(crate) fn has_bare_rule(&self) -> bool {
        self.bare_rule && self.policy() != Policy::Signed
    }
}

/// Whether images without a header are ever taken: with the feature `signed-only`, what deals with them is left out.
pub(crate) const RAW_IMAGES: bool = !cfg!(feature = "signed-only");

/// The network side of a board.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Ask a DHCP server.
    pub use_dhcp: bool,
    /// Seconds until the static address is used when no server answers.
    pub dhcp_fallback_s: u16,
    /// Static address.
    pub address: Ipv4Cidr,
    /// Gateway that goes with the static address.
    pub gateway: Option<Ipv4Address>,
    /// Name given to the DHCP server.
    pub host_name: &'static str,
}

/// The version of this firmware, as `status.json` shows it and as headers ask for it.
pub const IAP_VERSION: &str = env!("CARGO_PKG_VERSION");

/// [`IAP_VERSION`] in numbers.
pub const IAP_VERSION_NUMBERS: [u16; 3] = [
    decimal(env!("CARGO_PKG_VERSION_MAJOR")),
    decimal(env!("CARGO_PKG_VERSION_MINOR")),
    decimal(env!("CARGO_PKG_VERSION_PATCH")),
];

// Runs in the compiler only.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn decimal(text: &str) -> u16 {
    let (bytes, mut value, mut i) = (text.as_bytes(), 0, 0);
    while i < bytes.len() {
        value = value * 10 + (bytes[i] - b'0') as u16;
        i += 1;
    }
    value
}
