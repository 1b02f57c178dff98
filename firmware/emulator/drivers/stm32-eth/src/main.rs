//! stm32-eth 0.8.2 with smoltcp on an STM32F4-DISCOVERY base board (RMII): DHCP, UDP echo on port 69, TCP echo on port 80.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use panic_halt as _;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet, SocketStorage};
use smoltcp::socket::{dhcpv4, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use stm32_eth::dma::{RxRingEntry, TxRingEntry};
use stm32f4xx_hal::pac::{CorePeripherals, Peripherals, interrupt};
use stm32f4xx_hal::prelude::*;

static MILLIS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    MILLIS.fetch_add(1, Ordering::Relaxed);
}

#[interrupt]
fn ETH() {
    stm32_eth::eth_interrupt_handler();
}

static mut RX_RING: [RxRingEntry; 8] = [const { RxRingEntry::new() }; 8];
static mut TX_RING: [TxRingEntry; 4] = [const { TxRingEntry::new() }; 4];
static mut TCP_BUFFERS: [[u8; 8192]; 2] = [[0; 8192]; 2];

#[entry]
#[allow(static_mut_refs)]
fn main() -> ! {
    let (Some(chip), Some(mut core)) = (Peripherals::take(), CorePeripherals::take()) else { loop {} };
    let clocks = chip.RCC.constrain().cfgr.use_hse(8.MHz()).sysclk(168.MHz()).hclk(168.MHz()).freeze();
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(168_000 - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();
    let (a, b, c) = (chip.GPIOA.split(), chip.GPIOB.split(), chip.GPIOC.split());
    let pins = stm32_eth::EthPins {
        ref_clk: a.pa1,
        crs: a.pa7,
        tx_en: b.pb11,
        tx_d0: b.pb12,
        tx_d1: b.pb13,
        rx_d0: c.pc4,
        rx_d1: c.pc5,
    };
    let parts = stm32_eth::PartsIn { dma: chip.ETHERNET_DMA, mac: chip.ETHERNET_MAC, mmc: chip.ETHERNET_MMC };
    // SAFETY: main runs once, and nobody else uses the rings.
    let rings = unsafe { (&mut RX_RING[..], &mut TX_RING[..]) };
    let Ok(stm32_eth::Parts { mut dma, .. }) = stm32_eth::new(parts, rings.0, rings.1, clocks, pins) else { loop {} };
    dma.enable_interrupt();

    let address = EthernetAddress([0x02, 0, 0, 0, 0, 7]);
    let mut interface = Interface::new(Config::new(address.into()), &mut &mut dma, Instant::ZERO);
    let mut storage: [SocketStorage; 3] = Default::default();
    let mut sockets = SocketSet::new(&mut storage[..]);
    // SAFETY: as above.
    let [receive, send] = unsafe { &mut TCP_BUFFERS };
    let tcp = sockets.add(tcp::Socket::new(tcp::SocketBuffer::new(&mut receive[..]), tcp::SocketBuffer::new(&mut send[..])));
    let (mut meta_in, mut meta_out) = ([udp::PacketMetadata::EMPTY; 4], [udp::PacketMetadata::EMPTY; 4]);
    let (mut bytes_in, mut bytes_out) = ([0; 4096], [0; 4096]);
    let udp = sockets.add(udp::Socket::new(
        udp::PacketBuffer::new(&mut meta_in[..], &mut bytes_in[..]),
        udp::PacketBuffer::new(&mut meta_out[..], &mut bytes_out[..]),
    ));
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let _ = sockets.get_mut::<udp::Socket>(udp).bind(69);
    loop {
        let now = Instant::from_millis(i64::from(MILLIS.load(Ordering::Relaxed)));
        let idle = interface.poll(now, &mut &mut dma, &mut sockets) == PollResult::None;
        if let Some(dhcpv4::Event::Configured(config)) = sockets.get_mut::<dhcpv4::Socket>(dhcp).poll() {
            interface.update_ip_addrs(|list| {
                list.clear();
                let _ = list.push(IpCidr::Ipv4(config.address));
            });
        }
        let socket = sockets.get_mut::<udp::Socket>(udp);
        let mut copy = [0; 1500];
        if let Ok((len, meta)) = socket.recv_slice(&mut copy) {
            let _ = socket.send_slice(&copy[..len], meta.endpoint);
        }
        let moved = echo(sockets.get_mut::<tcp::Socket>(tcp));
        if idle && !moved {
            cortex_m::asm::wfi();
        }
    }
}

/// Sends back what came. True if something moved.
fn echo(socket: &mut tcp::Socket<'_>) -> bool {
    if !socket.is_open() {
        let _ = socket.listen(80);
    }
    let room = socket.send_capacity() - socket.send_queue();
    let mut copy = [0; 1024];
    let len = match socket.recv_slice(&mut copy[..room.min(1024)]) {
        Ok(len) => len,
        Err(_) => {
            if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 {
                socket.close();
            }
            return false;
        }
    };
    let _ = socket.send_slice(&copy[..len]);
    len > 0
}
