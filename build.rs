//! Sets `cfg(vision_msgs)` where r2r has found these optional messages, and fails without those whose absence no compiler
//! error would show.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(vision_msgs)");
    #[cfg(feature = "ros")]
    {
        r2r_common::print_cargo_watches();
        let found = r2r_common::get_wanted_messages();
        let has = |module: &str, name: &str| {
            let mut found = found.iter();
            found.any(|m| m.module == module && m.name == name)
        };
        if has("vision_msgs", "LabelInfo") {
            println!("cargo::rustc-cfg=vision_msgs");
        }
        // Without it r2r compiles without simulated time, and the node would ignore /clock.
        if !has("rosgraph_msgs", "Clock") {
            let path = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
            println!(
                "cargo::error=expected rosgraph_msgs below AMENT_PREFIX_PATH, got none in `{path}`: source ROS 2 first \
                 (. scripts/env.sh, or /opt/ros/jazzy/setup.bash), in the same shell as cargo"
            );
        }
    }
}
