//! What the guest programs share: vector table, start-up, registers, and the block in which they leave results for the test.

#![no_std]

use core::panic::PanicInfo;
use core::ptr;

/// Results for the test: word 0 is [`DONE`] at the end.
pub const RESULTS: usize = 0x2001_F000;
/// The guest has finished.
pub const DONE: u32 = 0xD0_0D_D0_0D;
/// What the test asks for, before the first instruction.
pub const ARGUMENT: usize = 0x2001_E000;

pub const FLASH_ACR: usize = 0x4002_3C00;
pub const FLASH_KEYR: usize = 0x4002_3C04;
pub const FLASH_SR: usize = 0x4002_3C0C;
pub const FLASH_CR: usize = 0x4002_3C10;
pub const RCC: usize = 0x4002_3800;
pub const PWR_CR: usize = 0x4000_7000;
pub const BKP0R: usize = 0x4000_2850;
pub const AIRCR: usize = 0xE000_ED0C;
pub const SYST_CSR: usize = 0xE000_E010;
pub const SYST_RVR: usize = 0xE000_E014;
pub const SYST_CVR: usize = 0xE000_E018;
pub const TIM2: usize = 0x4000_0000;

unsafe extern "C" {
    fn main() -> !;
    fn SysTick();
    fn Interrupt();
    static __ramcode_start: u8;
    static __ramcode_end: u8;
    static __ramcode_load: u8;
}

#[repr(C)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    reset: unsafe extern "C" fn() -> !,
    word: usize,
}

#[unsafe(link_section = ".vectors")]
#[unsafe(no_mangle)]
pub static VECTORS: [Vector; 98] = {
    let mut table = [const { Vector { handler: Interrupt } }; 98];
    table[0] = Vector { word: 0x2001_8000 };
    table[1] = Vector { reset: Reset };
    table[3] = Vector { handler: Default };
    table[15] = Vector { handler: SysTick };
    table
};

/// # Safety
/// The chip calls it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Reset() -> ! {
    // SAFETY: the linker script gives source, target and length; nothing runs from there yet.
    unsafe {
        let (start, end) = (&raw const __ramcode_start, &raw const __ramcode_end);
        let len = end as usize - start as usize;
        ptr::copy_nonoverlapping(&raw const __ramcode_load, start.cast_mut(), len);
        main()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn Default() {
    loop {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Reads a register.
#[inline(always)]
pub fn read(address: usize) -> u32 {
    // SAFETY: the guests read registers and RAM of their own.
    unsafe { ptr::read_volatile(address as *const u32) }
}

/// Writes a register.
#[inline(always)]
pub fn write(address: usize, value: u32) {
    // SAFETY: the guests write registers and RAM of their own.
    unsafe { ptr::write_volatile(address as *mut u32, value) }
}

/// Sets bits of a register.
pub fn set(address: usize, bits: u32) {
    write(address, read(address) | bits);
}

/// Leaves a result.
pub fn result(index: usize, value: u32) {
    write(RESULTS + 4 * index, value);
}

/// Says that the guest has finished, and stays.
pub fn done() -> ! {
    result(0, DONE);
    loop {
        wfi();
    }
}

/// Sleeps until an interrupt.
#[inline(always)]
pub fn wfi() {
    // SAFETY: waits, nothing else.
    unsafe { core::arch::asm!("wfi") }
}

/// TIM2 counts the clock of its bus from here on; a clock that does not need the core.
pub fn start_timer() {
    set(RCC + 0x40, 1);
    write(TIM2 + 0x24, 0);
    write(TIM2, 1);
}

/// What TIM2 counted.
pub fn timer() -> u32 {
    read(TIM2 + 0x24)
}

/// SysTick interrupts every `cycles`.
pub fn start_systick(cycles: u32) {
    write(SYST_RVR, cycles - 1);
    write(SYST_CVR, 0);
    write(SYST_CSR, 7);
}

/// Backup registers may be written.
pub fn open_backup() {
    set(RCC + 0x40, 1 << 28);
    set(PWR_CR, 1 << 8);
}

/// FLASH_CR may be written.
pub fn unlock_flash() {
    write(FLASH_KEYR, 0x4567_0123);
    write(FLASH_KEYR, 0xCDEF_89AB);
}
