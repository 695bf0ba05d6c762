//! The `policyd` command, server and client: everything it does is in `policyc::service`.

fn main() -> std::process::ExitCode {
    policyc::service::main()
}
