//! `make install`: what a user has who has nothing else. The examples are built from the installed tree alone, which was
//! moved, where the repository cannot be reached; and they run.
#![cfg(all(feature = "capi", feature = "cli", target_os = "linux"))]

mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use programs::{root, run};

/// Where the work directory is seen once the repository is gone.
const AWAY: &str = "/run/away";
const STORY: &str = "create greeter greeter-1 9090\nlist greeter\nget greeter greeter-1 9090\n\
                     update greeter greeter-1 9091\ndelete greeter greeter-1 9091\n";

fn work() -> PathBuf {
    programs::out("install")
}

fn make(target: &str, prefix: &Path, stage: &str) -> Command {
    let mut command = programs::make(target);
    command.arg(format!("PREFIX={}", prefix.display())).env("DESTDIR", stage);
    command
}

/// Installs once, to be packed as for a distribution, and moves the tree; then copies the examples beside it.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let work = work();
        fs::remove_dir_all(&work).unwrap();
        fs::create_dir_all(&work).unwrap();
        run(&mut make("install", Path::new("/opt/registry"), work.join("stage").to_str().unwrap()));
        fs::rename(work.join("stage/opt/registry"), work.join("prefix")).unwrap();
        run(Command::new("cp").arg("-r").arg(root().join("examples")).arg(work.join("examples")));
        work.join("prefix")
    })
}

/// Runs lines of shell in the work directory, on a loopback of their own, the repository out of sight.
fn away(lines: &str) -> String {
    installed();
    let hide = r#"mkdir -p "$3" && mount --bind "$1" "$3" && mount -t tmpfs tmpfs "$2" && [ ! -e "$2/Cargo.toml" ] &&
                  ip link set lo up && cd "$3" && eval "$4""#;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-euc", hide, "sh"]).args([&work(), root()]).args([AWAY, lines]);
    command.env("PKG_CONFIG_PATH", format!("{AWAY}/prefix/lib/pkgconfig")).env_remove("LD_LIBRARY_PATH");
    command.env("warnings", programs::WARNINGS.join(" "));
    run(&mut command)
}

/// Compiles the stories of both languages, and runs them.
fn check_stories(libraries: &str, program: &str, library_path: &str) {
    for (compiler, source) in [("cc -std=c99", "c/story.c"), ("c++ -std=c++17", "cpp/story.cpp")] {
        // glibc's warnings of what -static leaves out are no errors.
        away(&format!("{compiler} $warnings examples/{source} -o {program} {libraries}"));
        assert_eq!(away(&format!("{library_path} ./{program}")), STORY, "{source} with {libraries}");
    }
}

fn needed(program: &str) -> String {
    away(&format!("readelf -d {program} | grep NEEDED || :"))
}

#[test]
fn the_examples_build_by_pkg_config_with_the_shared_library() {
    check_stories("$(pkg-config --cflags --libs mdns_registry)", "shared", "LD_LIBRARY_PATH=prefix/lib");
    assert!(needed("shared").contains("[libmdns_registry.so.0]"));
}

#[test]
fn the_examples_build_by_pkg_config_with_nothing_but_static_libraries() {
    check_stories("-static $(pkg-config --static --cflags --libs mdns_registry)", "static", "");
    assert_eq!(needed("static"), "");
}

#[test]
fn the_examples_build_by_pkg_config_with_our_library_alone_static() {
    let ours = "$(pkg-config --static --cflags --libs mdns_registry | sed s/-lmdns_registry/-l:libmdns_registry.a/)";
    check_stories(ours, "partly", "");
    assert!(needed("partly").contains("[libc.so") && !needed("partly").contains("mdns_registry"));
}

#[test]
fn the_examples_build_by_cmake_with_either_library() {
    for (linked, option) in [("shared", "OFF"), ("static", "ON")] {
        let build = format!("cmake-{linked}");
        away(&format!(
            "cmake -S examples -B {build} -DCMAKE_PREFIX_PATH={AWAY}/prefix -DSTATIC={option} \
             -DCMAKE_C_FLAGS=\"$warnings\" -DCMAKE_CXX_FLAGS=\"$warnings\" && cmake --build {build}"
        ));
        for story in ["story", "story_cpp"] {
            assert_eq!(away(&format!("{build}/{story}")), STORY, "{story}, {linked}");
        }
        assert_eq!(needed(&format!("{build}/story")).contains("mdns_registry"), linked == "shared");
    }
}

/// The versions, of those asked for, for which CMake takes the installed tree when that is of version `ours`.
fn found_by_cmake<'a>(ours: &str, asked: &[&'a str]) -> Vec<&'a str> {
    let finds = asked.iter().map(|asked| {
        format!(
            "find_package(mdns_registry {asked} QUIET)\nmessage(NOTICE \"found=${{mdns_registry_FOUND}}\")\n\
             unset(mdns_registry_DIR CACHE)\nunset(mdns_registry_FOUND)\n"
        )
    });
    let project: String =
        ["cmake_minimum_required(VERSION 3.19)\nproject(x C)\n".to_owned()].into_iter().chain(finds).collect();
    let of_version = "lib/cmake/mdns_registry/mdns_registryConfigVersion.cmake";
    let said = away(&format!(
        "rm -rf find && mkdir find && cp -r prefix find/prefix
         sed -i 's/(PACKAGE_VERSION {}/(PACKAGE_VERSION {ours}/' find/prefix/{of_version}
         printf %s '{project}' >find/CMakeLists.txt
         cmake -S find -B find/build -DCMAKE_PREFIX_PATH={AWAY}/find/prefix 2>&1",
        version()
    ));
    let found: Vec<bool> = said.lines().filter_map(|line| line.strip_prefix("found=")).map(|it| it == "1").collect();
    assert_eq!(found.len(), asked.len(), "{said}");
    asked.iter().zip(found).filter_map(|(asked, found)| found.then_some(*asked)).collect()
}

#[test]
fn cmake_finds_what_the_version_that_is_asked_for_can_be_replaced_by() {
    let asked = [
        "",
        "0",
        "0.8",
        "0.9",
        "0.9.2",
        "0.9.3",
        "0.9.4",
        "0.9.3 EXACT",
        "0.9.2 EXACT",
        "0.10",
        "1.0",
        "0.1...0.9",
        "0.1...0.9.3",
        "0.1...<0.9.3",
        "0.1...<1",
        "0.9.4...2",
    ];
    let found = ["", "0.9", "0.9.2", "0.9.3", "0.9.3 EXACT", "0.1...0.9.3", "0.1...<1"];
    assert_eq!(found_by_cmake("0.9.3", &asked), found);
    let asked = ["0.9", "1", "1.0", "1.2", "1.2.4", "1.3", "2", "0.9...1.2.3", "0.9...<1.2.3", "1...2"];
    assert_eq!(found_by_cmake("1.2.3", &asked), ["1", "1.0", "1.2", "0.9...1.2.3", "1...2"]);
    assert_eq!(found_by_cmake(version(), &["", version(), "99"]), ["", version()]);
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[test]
fn what_pkg_config_says_is_what_rustc_says() {
    let said = away("pkg-config --modversion mdns_registry && pkg-config --static --libs-only-l mdns_registry");
    let (modversion, libraries) = said.split_once('\n').unwrap();
    assert_eq!(modversion, version());
    let rustc = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("native-static-libs");
    let rustc = fs::read_to_string(rustc).expect("make build asks rustc");
    // The compiler driver adds libgcc_s itself, and must be free not to.
    let expected = rustc.split_whitespace().filter(|library| *library != "-lgcc_s");
    let expected: Vec<&str> = ["-lmdns_registry"].into_iter().chain(expected).collect();
    assert_eq!(libraries.split_whitespace().collect::<Vec<_>>(), expected);
}

/// The names and headers that cargo-c would install are those that are installed here.
#[test]
fn what_is_said_to_cargo_c_is_what_make_install_does() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().unwrap().stdout;
    let manifest: serde_json::Value = serde_json::from_slice(&output).expect("cargo's metadata");
    let packages = manifest["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "mdns-registry").unwrap();
    let capi = &package["metadata"]["capi"];
    assert_eq!((&capi["header"]["generation"], &capi["header"]["subdirectory"]), (&false.into(), &false.into()));
    for table in ["header", "library", "pkgconfig"] {
        assert_eq!(capi[table]["name"], "mdns_registry");
    }
    let components = capi["library"]["version_suffix_components"].as_u64().unwrap();
    let suffix: Vec<&str> = version().split('.').take(usize::try_from(components).unwrap()).collect();
    let soname = installed().join("lib").join(format!("libmdns_registry.so.{}", suffix.join(".")));
    assert!(soname.is_symlink(), "{}", soname.display());

    let mut copied = String::new();
    for asset in capi["install"]["include"]["asset"].as_array().unwrap() {
        let to = asset["to"].as_str().map_or(String::new(), |to| format!("{to}/"));
        let shell = format!("for file in {}; do echo {to}${{file##*/}}; done", asset["from"].as_str().unwrap());
        copied += &run(Command::new("sh").args(["-c", &shell]).current_dir(root()));
    }
    let include = installed().join("include");
    let there = run(Command::new("find").arg(include).args(["-type", "f", "-printf", "%P\n"]));
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&copied), sorted(&there));
}

/// As the Python package does, which has no use for the C ABI: cargo would put its shared library in the place of ours.
#[test]
fn another_package_that_builds_the_crate_leaves_the_c_library_alone() {
    let library = programs::shared_library();
    let mut depends = Command::new(env!("CARGO"));
    depends.args(["build", "--offline", "--quiet", "--package", "mdns-registry", "--lib", "--no-default-features"]);
    let target = library.ancestors().nth(2).unwrap();
    run(depends.arg("--target-dir").arg(target).current_dir(root()).env_remove("LD_LIBRARY_PATH"));
    for library in [library.to_owned(), library.with_file_name("deps/libmdns_registry.so")] {
        let names = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
        assert!(names.contains(" T mdnsreg_open\n"), "{} has no C ABI", library.display());
    }
}

#[test]
fn a_library_without_the_c_abi_is_not_installed() {
    let work = programs::out("empty");
    for file in ["libmdns_registry.a", "native-static-libs", "mdns-registry", "libmdns_registry.so"] {
        fs::write(work.join(file), "").unwrap();
    }
    let prefix = work.join("prefix");
    let mut install = Command::new(root().join("packaging/install.sh"));
    let output = install.args([&work, &prefix, &prefix.join("lib")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("libmdns_registry.so has no mdnsreg_open"), "{said}");
    assert!(!prefix.exists());
}

#[test]
fn the_installed_tool_runs() {
    assert_eq!(away("prefix/bin/mdns-registry --version").trim(), format!("mdns-registry {}", version()));
}

#[test]
fn uninstall_takes_away_what_install_has_put_there_and_nothing_else() {
    let stage = programs::out("uninstall");
    fs::remove_dir_all(&stage).unwrap();
    installed();
    run(Command::new("cp").arg("-al").arg(installed()).arg(&stage));
    fs::write(stage.join("lib/libother.so"), "").unwrap();
    run(&mut make("uninstall", &stage, ""));
    assert_eq!(run(Command::new("find").arg(&stage).args(["!", "-type", "d", "-printf", "%P"])), "lib/libother.so");
}
