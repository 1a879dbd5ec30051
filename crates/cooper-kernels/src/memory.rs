//! Settings of glibc's allocator, and large pages.

/// Return freed memory from the allocator to the operating system.
///
/// glibc keeps up to 64 MiB in each thread's arena, and the gaps between live blocks: a small model would stay resident after
/// it was dropped. With other allocators this does nothing.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Sound: it takes no pointer, and locks the arenas that it looks at.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Let all threads allocate from one heap, and let it keep freed memory until [`give_back_memory`].
///
/// By default glibc has several heaps, each of which keeps the most that its threads ever needed, so that memory grows for
/// hours. And fresh pages for every large tensor take a fifth of the time of decoding a map. Call it before other threads
/// start; with other allocators it does nothing.
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

/// Larger blocks are allocated outside of the heap: whole matrices of weights.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 28;

/// Move the heap, as far as it reaches now, to large pages.
///
/// Every token reads the weights from end to end: with pages of 4 KiB, a quarter of the time goes into address translation
/// (26 GB/s instead of 34 with two threads). Most systems give large pages only on request; where they give none, this does
/// nothing. Call it after a model was loaded.
pub fn use_large_pages() {
    #[cfg(target_os = "linux")]
    {
        const MADV_COLLAPSE: libc::c_int = 25; // since Linux 6.1; not in libc for every target
        let Some((start, end)) = heap() else {
            return;
        };
        for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
            // Sound: it changes no byte. Where it fails, pages stay as they are.
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
