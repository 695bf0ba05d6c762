//! The `policyc` command: everything it does is in `policyc::cli`.

fn main() -> std::process::ExitCode {
    policyc::cli::main()
}
