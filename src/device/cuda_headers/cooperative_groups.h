// What kernels of cubecl use of <cooperative_groups.h>: the threads of a block, and the place of a block in its cluster.
#pragma once

namespace cooperative_groups {

struct thread_block {
  __device__ __forceinline__ unsigned thread_rank() const { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }
  __device__ __forceinline__ unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
};

__device__ __forceinline__ thread_block this_thread_block() { return {}; }

#if __CUDA_ARCH__ >= 900
struct cluster_group {
  __device__ __forceinline__ unsigned block_rank() const {
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
  }
  __device__ __forceinline__ dim3 block_index() const {
    unsigned x, y, z;
    asm("mov.u32 %0, %%cluster_ctaid.x;" : "=r"(x));
    asm("mov.u32 %0, %%cluster_ctaid.y;" : "=r"(y));
    asm("mov.u32 %0, %%cluster_ctaid.z;" : "=r"(z));
    return dim3(x, y, z);
  }
};

__device__ __forceinline__ cluster_group this_cluster() { return {}; }
#endif

}  // namespace cooperative_groups
