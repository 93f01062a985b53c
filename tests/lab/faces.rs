//! The library's faces as programs of one behaviour, with the options of a registry from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::lab::cli::TOOL;
use crate::lab::{Host, Process, SOON};
use crate::programs;

/// The command line tool, which is the Rust face as well; `face.c`; `face.py`.
#[derive(Clone, Copy, Debug)]
pub enum Face {
    Tool,
    C,
    Python,
}

impl Face {
    pub const ALL: [Face; 3] = [Face::Tool, Face::C, Face::Python];

    /// What a verb says until it ends.
    pub fn services(self, host: &Host, options: &Value, words: &[&str]) -> Vec<Value> {
        let said = self.start(host, options, words).finish(SOON).success();
        let lines = said.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.flat_map(|line| if let Value::Array(services) = line { services } else { vec![line] }).collect()
    }

    /// A verb, begun.
    pub fn start(self, host: &Host, options: &Value, words: &[&str]) -> Process {
        let mut command = match self {
            Face::Tool => {
                let mut command = host.command(TOOL);
                command.arg("--json");
                command
            }
            Face::C => {
                // Before what cargo sets: what an older build left there is not to be tested.
                let mut command = host.command(c());
                command.env("LD_LIBRARY_PATH", programs::library("faces"));
                command
            }
            Face::Python => {
                let mut command = host.command(python());
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/face.py"));
                command
            }
        };
        command.args(words).env(mdns_registry::options::ENVIRONMENT, options.to_string());
        Process::start(&format!("{self:?} on {}", host.name()), command)
    }
}

fn c() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (library, binary) = (programs::library("faces"), programs::out("faces").join("face"));
        let mut command = Command::new("cc");
        command.arg("-std=c99").args(programs::WARNINGS).args(["-Iinclude", "tests/lab/face.c", "-o"]).arg(&binary);
        command.arg(format!("-L{}", library.display())).arg(format!("-Wl,-rpath,{}", library.display()));
        programs::run(command.arg("-lmdns_registry").current_dir(programs::root()));
        binary
    })
}

/// The Python that `tests/python/setup.sh` made.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("main/bin/python");
    assert!(python.exists(), "{} is missing: tests/python/setup.sh makes it", python.display());
    python
}
