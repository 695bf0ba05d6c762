//! The `policyd` command, server and client: everything it does is in `policyc::service`.

/// What is allocated on one thread and freed on another, as nearly everything here is, costs the system's allocator twice as much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    policyc::service::main()
}
