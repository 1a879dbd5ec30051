//! glibc's allocator: what it keeps of freed memory.

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

/// Let all threads allocate from one heap, and let the heap keep what is freed until [`give_back_memory`].
///
/// Of the several heaps that glibc makes, each keeps what its threads once needed at most, and memory creeps up for
/// hours. And fresh pages for every large tensor take a fifth of the time of decoding a map. To be called before there
/// are other threads; elsewhere this does nothing.
pub fn keep_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Sound: it takes no pointer.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// Bytes of what is still allocated apart: whole matrices of weights.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 28;
