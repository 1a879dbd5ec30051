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

/// Let what is on the heap now lie in large pages, and what comes there, as far as the heap reaches now.
///
/// Weights are read from one end to the other for every token: with pages of 4 KiB, a quarter of the time goes into
/// finding them (26 GB/s for 34 with two threads). Systems that give large pages only to those who ask are the rule;
/// where they give none, this does nothing. To be called when a model has been loaded.
pub fn use_large_pages() {
    #[cfg(target_os = "linux")]
    {
        const MADV_COLLAPSE: libc::c_int = 25; // since Linux 6.1; not in libc for every target
        let Some((start, end)) = heap() else {
            return;
        };
        for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
            // Sound: it changes no byte of what it is about. Where it fails, pages stay as they are.
            #[allow(unsafe_code)]
            unsafe {
                libc::madvise(start as *mut libc::c_void, end - start, advice);
            }
        }
    }
}

/// Where this process's heap begins and ends.
#[cfg(target_os = "linux")]
fn heap() -> Option<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    let heap = maps.lines().filter(|line| line.ends_with("[heap]"));
    let ranges: Vec<_> = heap.filter_map(range).collect();
    Some((ranges.first()?.0, ranges.last()?.1))
}
