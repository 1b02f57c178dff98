//! embassy-stm32 with embassy-net on an STM3240G-EVAL (MII, DP83848 clocked by MCO1): DHCP, UDP echo on port 69, TCP echo on port 80.

#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Stack, StackResources};
use embassy_stm32::eth::{Ethernet, GenericPhy, InterruptHandler, PacketQueue, Sma};
use embassy_stm32::peripherals::{ETH, ETH_SMA};
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Mco, McoConfig, Mco1Source, Pll, PllMul, PllPDiv, PllPreDiv, PllQDiv, PllSource, Sysclk,
};
use embassy_stm32::time::Hertz;
use embassy_stm32::{bind_interrupts, Config as ChipConfig};
use panic_halt as _;
use static_cell::StaticCell;

bind_interrupts!(struct Irqs {
    ETH => InterruptHandler;
});

type Device = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

#[embassy_executor::task]
async fn network(mut runner: embassy_net::Runner<'static, Device>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn datagrams(stack: Stack<'static>) -> ! {
    let (mut meta_in, mut meta_out) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut bytes_in, mut bytes_out) = ([0; 4096], [0; 4096]);
    let mut socket = UdpSocket::new(stack, &mut meta_in, &mut bytes_in, &mut meta_out, &mut bytes_out);
    let _ = socket.bind(69);
    let mut copy = [0; 1500];
    loop {
        if let Ok((len, meta)) = socket.recv_from(&mut copy).await {
            let _ = socket.send_to(&copy[..len], meta.endpoint).await;
        }
    }
}

fn chip_config() -> ChipConfig {
    let mut config = ChipConfig::default();
    config.rcc.hse = Some(Hse { freq: Hertz(25_000_000), mode: HseMode::Oscillator });
    config.rcc.pll_src = PllSource::HSE;
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV25,
        mul: PllMul::MUL336,
        divp: Some(PllPDiv::DIV2),
        divq: Some(PllQDiv::DIV7),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.sys = Sysclk::PLL1_P;
    config
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let p = embassy_stm32::init(chip_config());
    let _mco = Mco::new(p.MCO1, p.PA8, Mco1Source::HSE, McoConfig::default());
    static PACKETS: StaticCell<PacketQueue<4, 8>> = StaticCell::new();
    let device = Ethernet::new_mii(
        PACKETS.init(PacketQueue::new()),
        p.ETH,
        Irqs,
        p.PA1,
        p.PC3,
        p.PA7,
        p.PC4,
        p.PC5,
        p.PH6,
        p.PH7,
        p.PG13,
        p.PG14,
        p.PC2,
        p.PB8,
        p.PG11,
        [0x02, 0, 0, 0, 0, 8],
        p.ETH_SMA,
        p.PA2,
        p.PC1,
    );
    static RESOURCES: StaticCell<StackResources<4>> = StaticCell::new();
    let (stack, runner) = embassy_net::new(device, Config::dhcpv4(Default::default()), RESOURCES.init(StackResources::new()), 7);
    if let Ok(task) = network(runner) {
        spawner.spawn(task);
    }
    if let Ok(task) = datagrams(stack) {
        spawner.spawn(task);
    }
    let (mut receive, mut send) = ([0; 8192], [0; 8192]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        if socket.accept(80).await.is_ok() {
            echo(&mut socket).await;
            socket.close();
            let _ = socket.flush().await;
        }
    }
}

/// Sends back what comes until the other end has sent everything.
async fn echo(socket: &mut TcpSocket<'_>) {
    let mut copy = [0; 1024];
    loop {
        let Ok(len @ 1..) = socket.read(&mut copy).await else { return };
        let mut rest = &copy[..len];
        while !rest.is_empty() {
            let Ok(sent @ 1..) = socket.write(rest).await else { return };
            rest = &rest[sent..];
        }
    }
}
