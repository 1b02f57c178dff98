//! The network loop: Ethernet frames on one side, the servers and the update on the other, and nobody waits for anybody.
//!
//! One [`Iap::poll`] takes what frames there are, lets the servers answer each of them, sends everything, and then does at most one flash
//! operation, in which the board is deaf for up to two seconds. So before an erase all that was received is acknowledged, and
//! the client has at most one window under way, which the DMA's receive ring holds ([`smoltcp::phy::DeviceCapabilities`]
//! `max_burst_size` limits the windows of TFTP and TCP alike). Then the caller sleeps until [`Turn::poll_at`] or the next frame.
//!
//! ICMP echo is answered by smoltcp. Nothing here decides about images: that is the update's.

mod address;
mod board;
#[cfg_attr(not(feature = "dhcp"), path = "no_dhcp.rs")]
mod dhcp;
#[cfg_attr(not(feature = "tftp"), path = "no_files.rs")]
mod files;
mod platform;
#[cfg(feature = "tftp")]
mod ports;
mod storage;
#[cfg_attr(not(feature = "http"), path = "no_web.rs")]
mod web;

#[cfg(test)]
mod tests;

#[cfg(not(any(feature = "tftp", feature = "http")))]
compile_error!("a board needs a server: feature tftp or http");

use iap_protocol::status::{IapReason, Phase};
use smoltcp::iface::{self, Interface, PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::phy::Device;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, Ipv4Address};

pub use platform::{Indication, Platform, Turn};
pub use storage::{
    BYTES, HTTP_RX, HTTP_SOCKETS, HTTP_TX, Memory, Metadata, SOCKETS, Storage, UPLOAD_RX,
};

use crate::config::Config;
use crate::earliest::Earliest;
use crate::flash::Flash;
use crate::intake::{Intake, Transport};
use crate::mode::{self, ResetReason, Situation};
use crate::update::{Progress, RING_RESERVE, Step, Updater};
use address::Addressing;
use board::BoardState;
use dhcp::Dhcp;
use files::{Desk, Files};
use web::{Service, Web};

/// Largest TFTP window: with the largest blocks it fits into what the update keeps free in its ring.
pub const MAX_WINDOW: u16 = 16;
const _: () =
    assert!(MAX_WINDOW as usize * iap_protocol::tftp::MAX_BLOCK_SIZE as usize <= RING_RESERVE);

/// Frames taken in one turn, so that a flood does not keep the update from its work.
const FRAMES_PER_TURN: usize = 32;
/// Rounds of sending in one turn: more than all sockets' buffers hold packets.
const EGRESS_ROUNDS: usize = 64;
/// How long an erase waits for the transmitter to take what is pending; without a link it never would.
const MAX_POSTPONED: Duration = Duration::from_millis(5);
/// When the transmitter is tried again.
const EGRESS_RETRY: Duration = Duration::from_millis(1);
/// When a step that found the supply low is tried again.
const SUPPLY_RETRY: Duration = Duration::from_millis(100);

/// The board in IAP mode.
pub struct Iap<'a, F> {
    config: &'a Config,
    updater: Updater<'a, F>,
    interface: Interface,
    sockets: SocketSet<'a>,
    dhcp: Dhcp,
    addressing: Addressing,
    files: Files<'a>,
    web: Web<'a>,
    board: BoardState,
    shown: Option<Indication>,
    /// Since when an erase waits for the transmitter.
    postponed_since: Option<Instant>,
}

impl<'a, F: Flash> Iap<'a, F> {
    /// The board in IAP mode, for the reason given. `station` is its MAC address.
    pub fn new<D: Device + ?Sized, P: Platform>(
        config: &'a Config,
        updater: Updater<'a, F>,
        iap_reason: IapReason,
        station: EthernetAddress,
        memory: Memory<'a>,
        device: &mut D,
        platform: &mut P,
    ) -> Self {
        let now = platform.now();
        let interface = interface(station, now, device, platform);
        let network = &config.network;
        let mut sockets = SocketSet::new(&mut memory.sockets[..]);
        let mut bytes = &mut memory.bytes[..];
        let Metadata { datagrams, dhcp } = memory.metadata;
        let files = Files::new(
            config,
            &device.capabilities(),
            platform.random() as u16,
            datagrams,
            &mut bytes,
            &mut sockets,
        );
        let web = Web::new(memory.connections, &mut bytes, &mut sockets);
        let dhcp = Dhcp::new(network, dhcp, &mut sockets);
        Self {
            config,
            updater,
            interface,
            sockets,
            dhcp,
            addressing: Addressing::new(now, network),
            files,
            web,
            board: BoardState::new(now, iap_reason),
            shown: None,
            postponed_since: None,
        }
    }

    /// The update, to look at.
    pub fn updater(&self) -> &Updater<'a, F> {
        &self.updater
    }

    /// The update, for a stand-in that must switch faults on.
    pub fn updater_mut(&mut self) -> &mut Updater<'a, F> {
        &mut self.updater
    }

    /// Gives the flash back, for the reset.
    pub fn into_flash(self) -> F {
        self.updater.into_flash()
    }

    /// The board's address, if it has one.
    pub fn address(&self) -> Option<smoltcp::wire::Ipv4Address> {
        self.interface.ipv4_addr()
    }

    /// To be called when the link has come up.
    pub fn link_is_up(&mut self, now: Instant) {
        self.dhcp
            .begin(now, &mut self.sockets, &mut self.addressing);
    }

    /// Does what is due: takes and answers frames, and at most one flash operation.
    pub fn poll<D: Device + ?Sized, P: Platform>(
        &mut self,
        device: &mut D,
        platform: &mut P,
    ) -> Turn {
        let now = platform.now();
        // First what the last step brought about: a verdict is told before the next client is heard.
        self.serve(now, platform);
        self.send_all(now, device);
        let more_frames = self.take_frames(now, device, platform);
        self.assign_address(now);
        self.send_all(now, device);
        let step = self.step(now, platform);
        self.show(platform);
        let now = platform.now();
        self.board.refresh(&mut self.updater);
        let next_reset = mode::next_reset(self.config, &self.situation());
        Turn {
            poll_at: self.poll_at(now, more_frames, step, next_reset),
            reset: self.reset(now, next_reset),
        }
    }

    /// Takes frames and lets the servers answer each; whether some may be left.
    fn take_frames<D: Device + ?Sized, P: Platform>(
        &mut self,
        now: Instant,
        device: &mut D,
        platform: &mut P,
    ) -> bool {
        for _ in 0..FRAMES_PER_TURN {
            let result = self
                .interface
                .poll_ingress_single(now, device, &mut self.sockets);
            match result {
                PollIngressSingleResult::None => return false,
                PollIngressSingleResult::PacketProcessed => {}
                PollIngressSingleResult::SocketStateChanged => {
                    self.hear_dhcp(now);
                    // Served first: what TCP acknowledges then is out of its window already. Sent before the next frame, which may begin
                    // a transfer that takes the socket from the one before.
                    self.serve(now, platform);
                    self.send_all(now, device);
                }
            }
        }
        true
    }

    fn serve<P: Platform>(&mut self, now: Instant, platform: &mut P) {
        let mut desk = Desk {
            now,
            config: self.config,
            interface: &self.interface,
            updater: &mut self.updater,
            board: &mut self.board,
        };
        self.files.serve(&mut self.sockets, &mut desk);
        self.board.refresh(&mut self.updater);
        let mut service = Service {
            now,
            config: self.config,
            updater: &mut self.updater,
            board: &self.board,
            address: self
                .interface
                .ipv4_addr()
                .unwrap_or(Ipv4Address::UNSPECIFIED),
            random: &mut || platform.random(),
        };
        self.web.serve(&mut self.sockets, &mut service);
    }

    fn hear_dhcp(&mut self, now: Instant) {
        self.dhcp.news(now, &mut self.sockets, &mut self.addressing);
    }

    fn assign_address(&mut self, now: Instant) {
        self.hear_dhcp(now);
        let is_busy = self.updater.is_busy();
        if self.addressing.apply(now, is_busy, &mut self.interface) {
            self.web.abort(&mut self.sockets);
        }
    }

    fn send_all<D: Device + ?Sized>(&mut self, now: Instant, device: &mut D) {
        for _ in 0..EGRESS_ROUNDS {
            let result = self.interface.poll_egress(now, device, &mut self.sockets);
            if result == PollResult::None {
                break;
            }
        }
    }

    /// Lets the update do its next step; when the one after it is due.
    fn step<P: Platform>(&mut self, now: Instant, platform: &mut P) -> Option<Instant> {
        if self.updater.next_step_is_long() && self.is_unsent(now) {
            let since = *self.postponed_since.get_or_insert(now);
            if now < since + MAX_POSTPONED {
                return Some(now + EGRESS_RETRY);
            }
        }
        self.postponed_since = None;
        let before = platform.now();
        let step = self.updater.step();
        let after = platform.now();
        self.files.stalled(after, after - before);
        match step {
            Step::More => Some(after),
            Step::SupplyLow => Some(after + SUPPLY_RETRY),
            Step::Idle => None,
        }
    }

    /// Whether a packet waits that could be sent.
    fn is_unsent(&mut self, now: Instant) -> bool {
        let poll_at = self.interface.poll_at(now, &self.sockets);
        poll_at.is_some_and(|at| at <= now)
    }

    fn show<P: Platform>(&mut self, platform: &mut P) {
        let indication = Indication {
            has_address: self.addressing.is_assigned(),
            phase: self.updater.phase(),
        };
        if self.shown != Some(indication) {
            self.shown = Some(indication);
            platform.show(indication);
        }
    }

    fn poll_at(
        &mut self,
        now: Instant,
        more_frames: bool,
        step: Option<Instant>,
        next_reset: Option<(Instant, ResetReason)>,
    ) -> Option<Instant> {
        let mut earliest = Earliest::default();
        earliest.note(more_frames.then_some(now));
        earliest.note(step);
        // What could not be sent in this turn waits for the transmitter, not for the next turn.
        let egress = self.interface.poll_at(now, &self.sockets);
        earliest.note(egress.map(|at| at.max(now + EGRESS_RETRY)));
        earliest.note(self.files.poll_at(now));
        earliest.note(self.web.poll_at());
        earliest.note(self.addressing.poll_at());
        earliest.note(self.dhcp.poll_at());
        earliest.note(next_reset.map(|(at, _)| at));
        earliest.get().map(|at| at.max(now))
    }

    fn reset(
        &mut self,
        now: Instant,
        next_reset: Option<(Instant, ResetReason)>,
    ) -> Option<ResetReason> {
        if self.updater.is_busy() {
            // Whoever was promised a reset has found an idle board. This update has its own end, which its client must hear of.
            self.files.forget_reset();
            self.web.forget_reset();
            return None;
        }
        if self.files.is_reset_due(now) {
            return Some(ResetReason::TftpRequest);
        }
        if self.web.is_reset_due(&self.sockets) {
            return Some(ResetReason::HttpRequest);
        }
        next_reset
            .filter(|(at, _)| *at <= now)
            .map(|(_, reason)| reason)
    }

    fn situation(&self) -> Situation {
        // An upload over HTTP after the commit over TFTP has its own end: its answer, and the reset button. One that was refused has none.
        let is_tftp_s = |progress: Progress| progress.source.transport == Transport::Tftp;
        let phase = self.updater.phase();
        let acked_at = self.files.commit_acked_at();
        let commit_acked_at = match self.updater.progress().is_some_and(is_tftp_s) {
            true => acked_at,
            false if phase == Phase::Failed => {
                acked_at.and_then(|_| acked_at.max(self.web.last_heard()))
            }
            false => None,
        };
        Situation {
            started_at: self.board.started_at,
            iap_reason: self.board.iap_reason,
            last_heard: self.files.last_heard().max(self.web.last_heard()),
            commit_acked_at,
            phase,
            is_busy: self.updater.is_busy(),
            is_startable: self.board.application.is_startable(),
        }
    }
}

fn interface<D: Device + ?Sized, P: Platform>(
    station: EthernetAddress,
    now: Instant,
    device: &mut D,
    platform: &mut P,
) -> Interface {
    let address = HardwareAddress::Ethernet(station);
    let mut interface = iface::Config::new(address);
    interface.random_seed = u64::from(platform.random()) << 32 | u64::from(platform.random());
    Interface::new(interface, device, now)
}
