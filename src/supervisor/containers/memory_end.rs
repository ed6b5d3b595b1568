//! Whether the kernel ended a container for its memory, read from its control groups: Podman does not
//! see it with those of version 1.

use std::path::Path;

use super::container_run::ContainerState;
use crate::container::{ContainerFacts, MEMORY_FILES, counts_memory_kill, memory_limit};
use crate::process::process_exited;
use crate::regular_file::read_proc;

/// In bytes, of a file with some numbers.
const MAX_FILE: u64 = 4096;

/// A container of which the kernel killed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryEnd {
    /// In bytes.
    limit: Option<u64>,
}

impl MemoryEnd {
    /// Adds what the engine has not seen.
    pub fn complete(self, facts: &mut ContainerFacts) {
        facts.out_of_memory = true;
        facts.memory_limit = facts.memory_limit.or(self.limit);
    }
}

/// Waits for the end of the first process of a container. Its control groups stay until its engine
/// removes them, for which that starts a program.
pub(super) async fn await_memory_end(state: &ContainerState) {
    let Some((pid, dirs)) = state.local_groups() else { return };
    process_exited(pid).await;
    if let Some(end) = dirs.iter().find_map(|dir| read_end(dir)) {
        // Set once: a container is waited for once.
        let _ = state.memory_end.set(end);
    }
}

fn read_end(dir: &Path) -> Option<MemoryEnd> {
    let read = |file: &str| read_proc(dir.join(file), MAX_FILE);
    MEMORY_FILES.iter().find_map(|[counts, limit]| {
        counts_memory_kill(&read(counts)?)
            .then(|| MemoryEnd { limit: read(limit).and_then(|text| memory_limit(&text)) })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_kill_is_read_with_the_limit() {
        let dir = tempfile::tempdir().expect("temp dir");
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).expect("writable");
        };
        assert_eq!(read_end(dir.path()), None);
        write("memory.events", "oom 0\noom_kill 0\n");
        assert_eq!(read_end(dir.path()), None);
        write("memory.events", "oom 1\noom_kill 1\n");
        assert_eq!(read_end(dir.path()), Some(MemoryEnd { limit: None }));
        write("memory.max", "33554432\n");
        assert_eq!(read_end(dir.path()), Some(MemoryEnd { limit: Some(32 << 20) }));
    }
}
