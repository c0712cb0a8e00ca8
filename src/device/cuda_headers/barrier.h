// What kernels of cubecl use of <cuda/barrier>, in instructions of the PTX ISA (sections "mbarrier", "cp.async.bulk.tensor" and "fence.proxy").
// NVIDIA's header includes most of its C++ library, which takes the compiler a second and a half for each kernel that has a barrier.
//
// Barriers of a block are in shared memory, where cubecl puts them. scripts/gpu/own_kernels.py compares the instructions with those of NVIDIA's header.
#pragma once

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "cubecl makes no barriers for cards before compute capability 8.0"
#endif

struct CUtensorMap_st;
typedef struct CUtensorMap_st CUtensorMap;

namespace cuda {

enum thread_scope { thread_scope_system, thread_scope_device, thread_scope_block, thread_scope_thread };

namespace speedlab {
// An address as the instructions take it.
__device__ __forceinline__ unsigned shared_address(const void* pointer) { return (unsigned)__cvta_generic_to_shared(pointer); }
}  // namespace speedlab

// A barrier for the threads of a block; its 64 bits are the hardware's.
template <thread_scope Scope>
class barrier {
  unsigned long long state;

 public:
  using arrival_token = unsigned long long;

  barrier() = default;
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  __device__ __forceinline__ friend void init(barrier* made, long long expected) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(made->address()), "r"((unsigned)expected) : "memory");
  }

  __device__ __forceinline__ unsigned address() const { return speedlab::shared_address(&state); }
  __device__ __forceinline__ unsigned long long* native_handle() { return &state; }

  __device__ __forceinline__ arrival_token arrive(long long count = 1) {
    arrival_token token;
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1], %2;" : "=l"(token) : "r"(address()), "r"((unsigned)count) : "memory");
#else
    // Before 9.0 a count other than one cannot complete the phase: the last arrival is one alone.
    if (count > 1)
      asm volatile("mbarrier.arrive.noComplete.shared.b64 %0, [%1], %2;" : "=l"(token) : "r"(address()), "r"((unsigned)count - 1) : "memory");
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(token) : "r"(address()) : "memory");
#endif
    return token;
  }

  __device__ __forceinline__ void wait(arrival_token token) const {
    while (!ended(token)) {
    }
  }

  __device__ __forceinline__ void wait_parity(bool parity) const {
    while (!ended_parity(parity)) {
    }
  }

  __device__ __forceinline__ void arrive_and_wait() { wait(arrive()); }

 private:
#if __CUDA_ARCH__ >= 900
#define SPEEDLAB_WAIT "mbarrier.try_wait"
#else
#define SPEEDLAB_WAIT "mbarrier.test_wait"
#endif
  __device__ __forceinline__ bool ended(arrival_token token) const {
    unsigned result;
    asm volatile("{ .reg .pred ended; " SPEEDLAB_WAIT ".shared.b64 ended, [%1], %2; selp.b32 %0, 1, 0, ended; }"
                 : "=r"(result)
                 : "r"(address()), "l"(token)
                 : "memory");
    return result != 0;
  }

  __device__ __forceinline__ bool ended_parity(bool parity) const {
    unsigned result;
    asm volatile("{ .reg .pred ended; " SPEEDLAB_WAIT ".parity.shared.b64 ended, [%1], %2; selp.b32 %0, 1, 0, ended; }"
                 : "=r"(result)
                 : "r"(address()), "r"((unsigned)parity)
                 : "memory");
    return result != 0;
  }
#undef SPEEDLAB_WAIT
};

namespace speedlab {
// Copies the part of one of `threads` threads. What is copied is there once the threads have arrived, as with a copy that goes on meanwhile.
template <typename Unit>
__device__ __forceinline__ void copy(void* destination, const void* source, size_t units, unsigned thread, unsigned threads) {
  for (size_t unit = thread; unit < units; unit += threads) ((Unit*)destination)[unit] = ((const Unit*)source)[unit];
}

__device__ __forceinline__ void copy_bytes(void* destination, const void* source, size_t bytes, unsigned thread, unsigned threads) {
  const size_t places = (size_t)destination | (size_t)source | bytes;
  if (places % 16 == 0)
    copy<uint4>(destination, source, bytes / 16, thread, threads);
  else if (places % 4 == 0)
    copy<unsigned>(destination, source, bytes / 4, thread, threads);
  else
    copy<unsigned char>(destination, source, bytes, thread, threads);
}
}  // namespace speedlab

template <thread_scope Scope>
__device__ __forceinline__ void memcpy_async(void* destination, const void* source, size_t bytes, barrier<Scope>&) {
  speedlab::copy_bytes(destination, source, bytes, 0, 1);
}

template <typename Group, thread_scope Scope>
__device__ __forceinline__ void memcpy_async(const Group& group, void* destination, const void* source, size_t bytes, barrier<Scope>&) {
  speedlab::copy_bytes(destination, source, bytes, group.thread_rank(), group.size());
}

namespace device {

__device__ __forceinline__ unsigned long long* barrier_native_handle(barrier<thread_scope_block>& of) { return of.native_handle(); }

#if __CUDA_ARCH__ >= 900

__device__ __forceinline__ void barrier_expect_tx(barrier<thread_scope_block>& at, long long bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(at.address()), "r"((unsigned)bytes) : "memory");
}

__device__ __forceinline__ barrier<thread_scope_block>::arrival_token barrier_arrive_tx(barrier<thread_scope_block>& at, long long count,
                                                                                        long long bytes) {
  barrier<thread_scope_block>::arrival_token token;
  if (count == 1) {
    asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %0, [%1], %2;"
                 : "=l"(token)
                 : "r"(at.address()), "r"((unsigned)bytes)
                 : "memory");
  } else {
    barrier_expect_tx(at, bytes);
    asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 %0, [%1], %2;"
                 : "=l"(token)
                 : "r"(at.address()), "r"((unsigned)count)
                 : "memory");
  }
  return token;
}

__device__ __forceinline__ void memcpy_async_tx(void* destination, const void* source, size_t bytes, barrier<thread_scope_block>& at) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   speedlab::shared_address(destination)),
               "l"(__cvta_generic_to_global(source)), "r"((unsigned)bytes), "r"(at.address())
               : "memory");
}

namespace experimental {

__device__ __forceinline__ void fence_proxy_async_shared_cta() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void cp_async_bulk_commit_group() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

template <int Pending>
__device__ __forceinline__ void cp_async_bulk_wait_group() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Pending) : "memory");
}

template <int Pending>
__device__ __forceinline__ void cp_async_bulk_wait_group_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Pending) : "memory");
}

// Boxes of a tensor of 1 to 5 dimensions, to shared memory and back.
#define SPEEDLAB_TENSOR(RANK, DECLARED, PLACES, BACK, ...)                                                                          \
  __device__ __forceinline__ void cp_async_bulk_tensor_##RANK##d_global_to_shared(void* destination, const CUtensorMap* map,        \
                                                                                  DECLARED, barrier<thread_scope_block>& at) {      \
    asm volatile("cp.async.bulk.tensor." #RANK "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" PLACES     \
                 "}], [%2];" ::"r"(speedlab::shared_address(destination)),                                                          \
                 "l"(map), "r"(at.address()), __VA_ARGS__                                                                           \
                 : "memory");                                                                                                       \
  }                                                                                                                                 \
  __device__ __forceinline__ void cp_async_bulk_tensor_##RANK##d_shared_to_global(const CUtensorMap* map, DECLARED,                 \
                                                                                  const void* source) {                             \
    asm volatile("cp.async.bulk.tensor." #RANK "d.global.shared::cta.tile.bulk_group [%0, {" BACK "}], [%1];" ::"l"(map),           \
                 "r"(speedlab::shared_address(source)), __VA_ARGS__                                                                 \
                 : "memory");                                                                                                       \
  }
#define SPEEDLAB_LIST(...) __VA_ARGS__
SPEEDLAB_TENSOR(1, int a, "%3", "%2", "r"(a))
SPEEDLAB_TENSOR(2, SPEEDLAB_LIST(int a, int b), "%3, %4", "%2, %3", "r"(a), "r"(b))
SPEEDLAB_TENSOR(3, SPEEDLAB_LIST(int a, int b, int c), "%3, %4, %5", "%2, %3, %4", "r"(a), "r"(b), "r"(c))
SPEEDLAB_TENSOR(4, SPEEDLAB_LIST(int a, int b, int c, int d), "%3, %4, %5, %6", "%2, %3, %4, %5", "r"(a), "r"(b), "r"(c), "r"(d))
SPEEDLAB_TENSOR(5, SPEEDLAB_LIST(int a, int b, int c, int d, int e), "%3, %4, %5, %6, %7", "%2, %3, %4, %5, %6", "r"(a), "r"(b), "r"(c),
                "r"(d), "r"(e))
#undef SPEEDLAB_LIST
#undef SPEEDLAB_TENSOR

}  // namespace experimental
#endif
}  // namespace device
}  // namespace cuda
