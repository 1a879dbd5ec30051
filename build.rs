//! Tells the crate which optional messages r2r has found: `cfg(vision_msgs)`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(vision_msgs)");
    #[cfg(feature = "ros")]
    {
        r2r_common::print_cargo_watches();
        let found = r2r_common::get_wanted_messages();
        if found
            .iter()
            .any(|m| m.module == "vision_msgs" && m.name == "LabelInfo")
        {
            println!("cargo::rustc-cfg=vision_msgs");
        }
    }
}
