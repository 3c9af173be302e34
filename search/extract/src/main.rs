//! The worker as a program of its own, for tests: a node starts itself.

// As in the node: what an allocator asks of the kernel decides what the limits on memory mean.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    godwit_extract::work()
}
