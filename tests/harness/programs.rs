//! The real programs: the `sealgate` binary, Python with the AWS CLI, moto, DuckDB and the second verifier. `tests/run` sets
//! them up and says where they are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The `sealgate` binary: `SEALGATE_BIN`, or the one built beside this test.
pub fn sealgate() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("sealgate");
    let binary = std::env::var_os("SEALGATE_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.exists(), "{} is not built: use tests/run", binary.display());
    binary
}

/// The Rust SDK's client of `tests/sdk`, beside the `sealgate` binary.
pub fn sdk_calls() -> PathBuf {
    let program = sealgate().with_file_name("sdk-calls");
    assert!(program.exists(), "{} is not built: use tests/run", program.display());
    program
}

/// A program of the Python environment: `SEALGATE_VENV`, or `.venv` in the root.
pub fn python(program: &str) -> PathBuf {
    let venv = std::env::var_os("SEALGATE_VENV").map_or_else(|| root().join(".venv"), PathBuf::from);
    let program = venv.join("bin").join(program);
    assert!(program.exists(), "{} is not installed: use tests/run", program.display());
    program
}

/// Runs the second verifier over evidence.
pub fn verify_py(evidence: &Path, key: &Path) -> Output {
    let script = root().join("schema/verify.py");
    Command::new(python("python3")).arg(script).arg(evidence).arg("--key").arg(key).arg("--json").output().unwrap()
}

/// Runs `sealgate verify` over evidence.
pub fn verify_rust(evidence: &Path, key: &Path) -> Output {
    Command::new(sealgate()).arg("verify").arg(evidence).arg("--key").arg(key).arg("--json").output().unwrap()
}

/// Runs openssl in a folder; its errors are what it printed.
pub fn openssl(folder: &Path, arguments: &str) -> Result<(), String> {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    let said = || String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said()) }
}
