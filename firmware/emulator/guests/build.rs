//! Hands the linker script over.

fn main() {
    println!("cargo::rustc-link-arg=-Tguest.x");
    println!("cargo::rustc-link-arg=--nmagic");
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rerun-if-changed=guest.x");
}
