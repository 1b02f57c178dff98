//! A TAP device as the board's peer: its wire ends in the kernel, with the kernel's TCP, a real DHCP server, ping, a browser.
//!
//! The device is opened by its name and made if there is none, which needs CAP_NET_ADMIN; one made by us goes with us. Frames for a device
//! that is down are lost, as on a cable nobody has plugged in. Linux only.

use std::thread;
use std::time::{Duration, Instant as WallInstant};

use anyhow::Context;
use iap_sim::wire::Port;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use smoltcp::phy::{Device, Medium, RxToken, TunTapInterface, TxToken};
use smoltcp::time::Instant;

use crate::session::Peer;

/// How often a device is asked for frames, and whether it is up.
const LOOK: Duration = Duration::from_micros(200);
const LOOK_STATE: Duration = Duration::from_millis(20);
/// Frames taken at once.
const MAX_BURST: usize = 64;

/// A TAP device.
pub struct Tap {
    name: String,
    device: TunTapInterface,
    port: Port,
    /// Whether the device was up, and when that was.
    state: Option<(WallInstant, bool)>,
}

impl Tap {
    /// Opens the device `name`, or makes it. `port` is its end of the board's wire.
    pub fn open(name: &str, port: Port) -> anyhow::Result<Self> {
        let device = TunTapInterface::new(name, Medium::Ethernet).with_context(|| {
            format!("cannot open the TAP device {name}; it has to be yours (ip tuntap add dev {name} mode tap user $USER), or this needs CAP_NET_ADMIN")
        })?;
        Ok(Self {
            name: name.to_owned(),
            device,
            port,
            state: None,
        })
    }

    fn is_up(&mut self) -> bool {
        if let Some((at, up)) = self.state
            && at.elapsed() < LOOK_STATE
        {
            return up;
        }
        let interfaces = getifaddrs().into_iter().flatten();
        let up = interfaces
            .filter(|interface| interface.interface_name == self.name)
            .any(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
        self.state = Some((WallInstant::now(), up));
        up
    }
}

impl Peer for Tap {
    fn poll(&mut self, now: Instant) -> bool {
        let up = self.is_up();
        let mut moved = false;
        for _ in 0..MAX_BURST {
            let Some(frame) = self.port.take_frame(now) else {
                break;
            };
            moved = true;
            if let Some(token) = self.device.transmit(now).filter(|_| up) {
                token.consume(frame.len(), |room| room.copy_from_slice(&frame));
            }
        }
        for _ in 0..MAX_BURST {
            let Some((token, _)) = self.device.receive(now).filter(|_| up) else {
                break;
            };
            moved = true;
            token.consume(|frame| self.port.send_frame(now, frame.to_vec()));
        }
        moved
    }

    fn poll_at(&mut self, _: Instant) -> Option<Instant> {
        self.port.next_arrival()
    }

    fn wait(&mut self, span: Duration) -> anyhow::Result<()> {
        thread::sleep(span.min(LOOK));
        Ok(())
    }
}
