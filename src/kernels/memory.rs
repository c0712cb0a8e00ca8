//! The program's allocator: keeps freed large blocks for the next operation of the same size.
//!
//! A training step makes and drops hundreds of tensors of some 100 KiB. The system's allocator returns such blocks to
//! the kernel and maps fresh, zeroed pages for the next, which took a quarter of the time of a small network's step.
//! Blocks start at cache lines, which the wide loads of [`super::lanes`] want.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static ALLOCATOR: BlockCache = BlockCache {
    classes: [const { Mutex::new(FreeBlocks::NONE) }; CLASSES],
    kept: AtomicUsize::new(0),
    used: AtomicUsize::new(0),
    most_used: AtomicUsize::new(0),
};

/// Requests of these sizes, in bytes, are served from kept blocks; all others go to the system.
const SMALLEST: usize = 1 << 14;
const LARGEST: usize = 1 << 26;
/// Block sizes: four to each doubling, from `SMALLEST` to `LARGEST`.
const CLASSES: usize = 4 * 12 + 1;
/// Bytes kept in any case; more only as much as was once in use, such as the activations of a larger network.
const ALWAYS_KEPT: usize = 1 << 29;
/// Blocks of a class kept at most: a transformer has dozens of activations of one size.
const SLOTS: usize = 256;
const ALIGNMENT: usize = 64;

struct BlockCache {
    classes: [Mutex<FreeBlocks>; CLASSES],
    /// Bytes in all free blocks.
    kept: AtomicUsize,
    /// Bytes in all blocks that are in use.
    used: AtomicUsize,
    most_used: AtomicUsize,
}

struct FreeBlocks {
    blocks: [*mut u8; SLOTS],
    count: usize,
}

// SAFETY: a free block belongs to nobody, so it may be handed to any thread.
unsafe impl Send for FreeBlocks {}

impl FreeBlocks {
    const NONE: Self = Self { blocks: [std::ptr::null_mut(); SLOTS], count: 0 };
}

/// The class of requests of `layout`, and the layout of its blocks; none where the system serves them.
fn class(layout: Layout) -> Option<(usize, Layout)> {
    let size = layout.size();
    if !(SMALLEST..=LARGEST).contains(&size) || layout.align() > ALIGNMENT {
        return None;
    }
    // Sizes in (2^p, 2^(p + 1)] are rounded up to a multiple of 2^p / 4.
    let power = (size - 1).ilog2();
    let step = 1usize << (power - 2);
    let block = size.next_multiple_of(step);
    let quarter = (block - (1 << power)) / step;
    let class = (power as usize + 1 - SMALLEST.ilog2() as usize) * 4 + quarter - 4;
    Some((class, Layout::from_size_align(block, ALIGNMENT).expect("a block of at most 64 MiB at a cache line")))
}

impl BlockCache {
    fn take(&self, class: usize, block: Layout) -> Option<*mut u8> {
        let used = self.used.fetch_add(block.size(), Ordering::Relaxed) + block.size();
        self.most_used.fetch_max(used, Ordering::Relaxed);
        let mut free = self.classes[class].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        free.count = free.count.checked_sub(1)?;
        self.kept.fetch_sub(block.size(), Ordering::Relaxed);
        Some(free.blocks[free.count])
    }

    /// Whether the block was kept.
    fn keep(&self, class: usize, block: Layout, pointer: *mut u8) -> bool {
        self.used.fetch_sub(block.size(), Ordering::Relaxed);
        let mut free = self.classes[class].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = free.count;
        let most = ALWAYS_KEPT.max(self.most_used.load(Ordering::Relaxed));
        if count == SLOTS || self.kept.load(Ordering::Relaxed) + block.size() > most {
            return false;
        }
        self.kept.fetch_add(block.size(), Ordering::Relaxed);
        free.blocks[count] = pointer;
        free.count += 1;
        true
    }
}

// SAFETY: every block comes from `System` with the layout that `class` gives for its request and goes back with it;
// a request that `class` leaves to the system is made and returned with its own layout. A kept block is in one list
// only, and `take` removes it.
unsafe impl GlobalAlloc for BlockCache {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            // SAFETY: a block's size is not 0.
            Some((class, block)) => self.take(class, block).unwrap_or_else(|| unsafe { System.alloc(block) }),
            // SAFETY: the caller's contract.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((class, block)) = class(layout) else {
            // SAFETY: the caller's contract.
            return unsafe { System.alloc_zeroed(layout) };
        };
        match self.take(class, block) {
            Some(pointer) => {
                // SAFETY: the block is as large as the request at least.
                unsafe { pointer.write_bytes(0, layout.size()) };
                pointer
            }
            // SAFETY: a block's size is not 0.
            None => unsafe { System.alloc_zeroed(block) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match class(layout) {
            Some((class, block)) => {
                if !self.keep(class, block, pointer) {
                    // SAFETY: blocks come from `System` with this layout.
                    unsafe { System.dealloc(pointer, block) }
                }
            }
            // SAFETY: the caller's contract.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new_layout = Layout::from_size_align(new_size, layout.align()).expect("the caller's contract");
        match (class(layout), class(new_layout)) {
            // SAFETY: the caller's contract.
            (None, None) => unsafe { System.realloc(pointer, layout, new_size) },
            (Some((old, _)), Some((new, _))) if old == new => pointer,
            _ => {
                // SAFETY: the caller's contract; the new block is another, and as long as what is copied.
                unsafe {
                    let new_pointer = self.alloc(new_layout);
                    if !new_pointer.is_null() {
                        new_pointer.copy_from_nonoverlapping(pointer, layout.size().min(new_size));
                        self.dealloc(pointer, layout);
                    }
                    new_pointer
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_a_class_whose_blocks_hold_it_with_little_waste() {
        let mut last = None;
        for size in (SMALLEST..1 << 20).step_by(509).chain([LARGEST - 1, LARGEST]) {
            let (class, block) = class(Layout::from_size_align(size, 4).unwrap()).unwrap();
            assert!(block.size() >= size && block.size() <= size + size / 4 + 1, "{size} in {}", block.size());
            if let Some((last_class, last_size)) = last {
                assert!(class >= last_class && (class > last_class) == (block.size() > last_size), "{size}");
            }
            assert!(class < CLASSES, "{size}");
            last = Some((class, block.size()));
        }
        for (size, align) in [(SMALLEST - 1, 4), (LARGEST + 1, 4), (SMALLEST, 128)] {
            assert!(class(Layout::from_size_align(size, align).unwrap()).is_none());
        }
    }

    #[test]
    fn zeroed_memory_is_zero_and_growing_keeps_the_content_whatever_was_there_before() {
        for size in [SMALLEST, 100_000, 1 << 20, LARGEST, LARGEST + 1] {
            drop(vec![7u8; size]);
            let mut values = vec![0u8; size];
            assert!(values.iter().all(|&value| value == 0), "{size}");
            values.fill(3);
            values.reserve_exact(size / 2);
            values.resize(size + size / 2, 4);
            assert!(values[..size].iter().all(|&value| value == 3), "{size}");
            values.truncate(10);
            values.shrink_to_fit();
            assert_eq!(values, [3; 10]);
        }
    }
}
