//! The one function of libm that iapctl needs: `pow`, by which indicatif weighs how fast a transfer was lately.
//!
//! With it in the program itself libm.so.6 is not a library of iapctl any more, and is not found, mapped and relocated at every start: 60 us
//! of the 1,100 that the conversion of a small image takes. Whoever depends on this crate gets it by `use iapctl_libm as _;`.

#![no_std]

/// `x` to the power of `y`, as C has it (ISO C 7.12.7.4), by the library of the Rust project.
// It takes the place of the function of the same name in glibc, which a program may do that is linked dynamically: the loader is not asked
// for a name that the program has itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}
