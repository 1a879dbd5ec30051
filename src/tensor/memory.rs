//! Freed memory that the allocator keeps for later.

/// Give back to the operating system what the allocator keeps of freed memory.
///
/// glibc keeps up to 64 MiB in each thread's arena, and more between what is in use: a small model would stay resident
/// after it was dropped. Elsewhere this does nothing.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Sound: it takes no pointer, and locks the arenas that it looks at.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}
