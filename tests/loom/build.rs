//! Makes `src/ring/sync.rs` import loom's types.

fn main() {
    println!("cargo:rustc-cfg=tickcast_loom");
    println!("cargo:rerun-if-changed=build.rs");
}
