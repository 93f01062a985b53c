//! Link arguments of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The number is that of the ABI, `MDNSREG_ABI_VERSION`, not of the crate.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmdns_registry.so.0");
        // Rust's runtime and our threads do not survive dlclose: the library stays loaded.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
