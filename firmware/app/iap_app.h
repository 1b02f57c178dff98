/*
 * iap_app.h: for applications in C on boards with the IAP firmware. Ask for an update, confirm a start, find out why the chip was reset,
 * and say in the image which version it is and for which board. The same as the Rust crate iap-app, access by access.
 *
 *     #include "iap_app.h"
 *
 *     IAP_INFO(1, 2, 3, "-rc.1", IAP_FLAG_CONFIRM, "stm324xg-eval");   // in one .c file, outside of functions
 *
 *     iap_confirm();           // the start was good: network up, self-test passed
 *     iap_feed_watchdog();     // in the main loop, at least every 20 s, if the image has IAP_FLAG_CONFIRM
 *     iap_request_update();    // over to the IAP firmware; does not return
 *
 * In the linker script, behind .rodata:
 *
 *     .iap_info : ALIGN(4) { KEEP(*(.iap_info)) } > FLASH
 *
 * C11, or C++11 for all but IAP_INFO, which then goes into a .c file; GCC or Clang, STM32F407. The application and the IAP firmware
 * leave each other words in two RTC backup registers; a board whose profile names other ones than 19 and 18 defines the two numbers
 * before the #include.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef IAP_APP_H
#define IAP_APP_H

#include <stdint.h>

#ifdef __cplusplus
#define IAP_ASSERT static_assert
#else
#define IAP_ASSERT _Static_assert
#endif

#ifndef IAP_REQUEST_REGISTER
#define IAP_REQUEST_REGISTER 19 /* request-backup-register of the profile */
#endif
#ifndef IAP_CAUSE_REGISTER
#define IAP_CAUSE_REGISTER 18 /* reset-cause-backup-register of the profile */
#endif
IAP_ASSERT(IAP_REQUEST_REGISTER >= 0 && IAP_REQUEST_REGISTER < 20 && IAP_CAUSE_REGISTER >= 0 && IAP_CAUSE_REGISTER < 20,
           "an STM32F407 has the RTC backup registers 0 to 19");
IAP_ASSERT(IAP_REQUEST_REGISTER != IAP_CAUSE_REGISTER, "one backup register cannot hold two words");

/* --- The descriptor: protocol/README.md, `.iap_info` ------------------------------------------------------------------------------ */

#define IAP_FLAG_CONFIRM 1u /* this application confirms its start; one that does not comes back in IAP mode */
#define IAP_FLAG_DATA 2u    /* the image brings content for data sectors */

/* These texts are filled up with NUL; one that fills its field has none. */
#if defined(__has_attribute)
#if __has_attribute(nonstring)
#define IAP_TEXT __attribute__((nonstring))
#endif
#endif
#ifndef IAP_TEXT
#define IAP_TEXT
#endif

struct iap_info {
    char magic[4];
    uint16_t format_version;
    uint16_t size;
    uint16_t version[3];
    uint16_t flags;
    IAP_TEXT char board[32];          /* letters, digits, - _ . ; or "any" */
    IAP_TEXT char version_suffix[12]; /* "", or semver's pre-release and build text with its sign: "-rc.1", "+g1a2b" */
    char end_magic[4];
};
IAP_ASSERT(sizeof(struct iap_info) == 64, "the descriptor has 64 bytes");

#ifndef __cplusplus /* where a text that fills its field has no room for the NUL */
#define IAP_INFO(major, minor, patch, suffix, flags_, board_)                                                                       \
    _Static_assert(sizeof(board_) > 1 && sizeof(board_) <= 33, "a board id has 1 to 32 characters");                                \
    _Static_assert(sizeof(suffix) <= 13, "a version suffix in .iap_info has at most 12 characters");                                \
    _Static_assert(((flags_) & ~3u) == 0, "an application may ask for IAP_FLAG_CONFIRM and IAP_FLAG_DATA only");                    \
    __attribute__((section(".iap_info"), used, aligned(4))) const struct iap_info iap_info = {                                      \
        .magic = {'I', 'A', 'P', 'D'},                                                                                              \
        .format_version = 1,                                                                                                        \
        .size = sizeof(struct iap_info),                                                                                            \
        .version = {(major), (minor), (patch)},                                                                                     \
        .flags = (flags_),                                                                                                          \
        .board = board_,                                                                                                            \
        .version_suffix = suffix,                                                                                                   \
        .end_magic = {'D', 'P', 'A', 'I'},                                                                                          \
    }
#endif

/* --- Registers: RM0090 section 2.3, PM0214 section 4.4 ----------------------------------------------------------------------------- */

#define IAP_RCC_APB1ENR 0x40023840u /* RM0090 section 7.3.13 */
#define IAP_PWR_CR 0x40007000u      /* RM0090 section 5.4.1 */
#define IAP_RTC_BKP0R 0x40002850u   /* RM0090 section 26.6.20 */
#define IAP_IWDG_KR 0x40003000u     /* RM0090 section 21.4.1 */
#define IAP_AIRCR 0xE000ED0Cu       /* PM0214 section 4.4.5 */

#ifndef IAP_OWN_PORT /* defined by the tests of this header, which record every access */
static inline uint32_t iap_read(uint32_t address) { return *(volatile uint32_t *)(uintptr_t)address; }
static inline void iap_write(uint32_t address, uint32_t value) { *(volatile uint32_t *)(uintptr_t)address = value; }
static inline void iap_barrier(void) { __asm volatile("dsb 0xF" ::: "memory"); }
static inline uint32_t iap_mask_interrupts(void)
{
    uint32_t primask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    return primask;
}
static inline void iap_restore_interrupts(uint32_t primask) { __asm volatile("msr primask, %0" ::"r"(primask) : "memory"); }
#endif

/* Writes a backup register: PWR gets its clock, the write protection is lifted, and both are put back (RM0090 section 5.1.2). */
static inline void iap_write_backup(unsigned number, uint32_t word)
{
    const uint32_t interrupts = iap_mask_interrupts();
    const uint32_t clocks = iap_read(IAP_RCC_APB1ENR);
    iap_write(IAP_RCC_APB1ENR, clocks | (1u << 28)); /* PWREN */
    (void)iap_read(IAP_RCC_APB1ENR);                 /* ES0182: the peripheral is ready two bus cycles later */
    const uint32_t control = iap_read(IAP_PWR_CR);
    iap_write(IAP_PWR_CR, control | (1u << 8)); /* DBP */
    (void)iap_read(IAP_PWR_CR);                 /* ES0182: the protection is lifted when a read after the write has arrived */
    iap_write(IAP_RTC_BKP0R + 4u * number, word);
    (void)iap_read(IAP_RTC_BKP0R + 4u * number); /* the write has arrived before the protection comes back */
    iap_write(IAP_PWR_CR, control);
    iap_write(IAP_RCC_APB1ENR, clocks);
    iap_restore_interrupts(interrupts);
}

/* --- What an application calls ----------------------------------------------------------------------------------------------------- */

/* Resets into IAP mode, where the board waits for an update. Does not return; finish what must not be interrupted first. */
__attribute__((noreturn)) static inline void iap_request_update(void)
{
    (void)iap_mask_interrupts();
    iap_write_backup(IAP_REQUEST_REGISTER, 0x49415055u); /* "IAPU" */
    iap_barrier();
    iap_write(IAP_AIRCR, (0x05FAu << 16) | (iap_read(IAP_AIRCR) & 0x700u) | (1u << 2)); /* VECTKEY, PRIGROUP kept, SYSRESETREQ */
    iap_barrier();
    for (;;) {
    }
}

/* How many starts in a row, this one included, were not confirmed; 0 after iap_confirm() and for images without IAP_FLAG_CONFIRM. */
static inline unsigned iap_unconfirmed_starts(void)
{
    const uint32_t word = iap_read(IAP_RTC_BKP0R + 4u * IAP_REQUEST_REGISTER);
    return (word & 0xFFFFFF00u) == 0x49414300u ? word & 0xFFu : 0u; /* "IAC" */
}

/* Says that this start is good. Images with IAP_FLAG_CONFIRM must, or the board stays in IAP mode after the third start; others may.
 * The watchdog goes on running: iap_feed_watchdog(). */
static inline void iap_confirm(void)
{
    if (iap_unconfirmed_starts() > 0) {
        iap_write_backup(IAP_REQUEST_REGISTER, 0);
    }
}

/* Feeds the independent watchdog, which the IAP firmware has started for an image with IAP_FLAG_CONFIRM: its period is 32 s, on the
 * fastest chip 22 s (RM0090 section 21.3.3; LSI of 17 to 47 kHz, DS8626 section 5.3.9). Nothing stops it, Stop and Standby do not
 * either. Harmless where it does not run. */
static inline void iap_feed_watchdog(void) { iap_write(IAP_IWDG_KR, 0xAAAAu); }

/* Why the chip was reset: bits 25 to 31 of RCC_CSR as the IAP firmware found them (RM0090 section 7.3.21), in place, so that the masks of
 * ST's headers fit: iap_reset_flags() & RCC_CSR_IWDGRSTF. 0 if no IAP firmware started this application. */
static inline uint32_t iap_reset_flags(void)
{
    const uint32_t word = iap_read(IAP_RTC_BKP0R + 4u * IAP_CAUSE_REGISTER);
    return (word & 0xFFFFFF00u) == 0x49415200u ? word << 24 : 0u; /* "IAR" */
}

#endif /* IAP_APP_H */
