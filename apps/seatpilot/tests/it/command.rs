//! Runs the binary once, to its end.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// What one run left.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs `seatpilot` with these arguments in an empty directory and an empty environment.
pub(crate) fn seatpilot(args: &[&str]) -> Run {
    let empty = tempfile::tempdir().unwrap();
    seatpilot_in(empty.path(), &[], args, b"")
}

/// Runs it in a directory, with variables and a standard input.
pub(crate) fn seatpilot_in(directory: &Path, envs: &[(&str, &str)], args: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seatpilot"))
        .args(args)
        .env_clear()
        .envs(envs.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that fails early does not read its input, and the pipe breaks: that is its right.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
