//! The binary: everything is in the library, where tests reach it.

use iapctl_libm as _; // pow

fn main() -> std::process::ExitCode {
    iapctl::app::main()
}
