//! Hands the linker scripts over.

fn main() {
    println!("cargo::rustc-link-arg=-Tlink.x");
    println!("cargo::rustc-link-arg=--nmagic");
    println!("cargo::rustc-link-search={}/..", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rerun-if-changed=../memory.x");
}
