// Each thing that kernels of cubecl do with barriers, for scripts/gpu/own_kernels.py: compiled with NVIDIA's headers and with Speedlab's, the instructions must be the same.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>

using block_barrier = cuda::barrier<cuda::thread_scope_block>;

extern "C" __global__ void arrivals(int* out, unsigned count, bool parity) {
  __shared__ unsigned long long place;
  block_barrier* at = reinterpret_cast<block_barrier*>(&place);
  if (threadIdx.x == 0) init(at, count);
  __syncthreads();
  block_barrier::arrival_token token = at->arrive();
  at->wait(std::move(token));
  at->wait_parity(parity);
  at->arrive_and_wait();
  out[threadIdx.x] = (int)__cvta_generic_to_shared(cuda::device::barrier_native_handle(*at));
}

#if __CUDA_ARCH__ >= 900
extern "C" __global__ void transactions(int* out, unsigned count, unsigned bytes) {
  __shared__ unsigned long long place;
  block_barrier* at = reinterpret_cast<block_barrier*>(&place);
  block_barrier::arrival_token one = cuda::device::barrier_arrive_tx(*at, 1, bytes);
  at->wait(std::move(one));
  block_barrier::arrival_token some = cuda::device::barrier_arrive_tx(*at, count, bytes);
  at->wait(std::move(some));
  cuda::device::barrier_expect_tx(*at, bytes);
  out[0] = cooperative_groups::this_cluster().block_rank() + cooperative_groups::this_cluster().block_index().x + cooperative_groups::this_cluster().block_index().y +
           cooperative_groups::this_cluster().block_index().z;
}

extern "C" __global__ void tensors(const __grid_constant__ CUtensorMap map, int a, int b, int c, int d, int e) {
  using namespace cuda::device::experimental;
  __shared__ unsigned long long place;
  __shared__ alignas(128) float box[256];
  block_barrier* at = reinterpret_cast<block_barrier*>(&place);
  cp_async_bulk_tensor_1d_global_to_shared(box, &map, a, *at);
  cp_async_bulk_tensor_2d_global_to_shared(box, &map, a, b, *at);
  cp_async_bulk_tensor_3d_global_to_shared(box, &map, a, b, c, *at);
  cp_async_bulk_tensor_4d_global_to_shared(box, &map, a, b, c, d, *at);
  cp_async_bulk_tensor_5d_global_to_shared(box, &map, a, b, c, d, e, *at);
  at->arrive_and_wait();
  fence_proxy_async_shared_cta();
  cp_async_bulk_tensor_1d_shared_to_global(&map, a, box);
  cp_async_bulk_tensor_2d_shared_to_global(&map, a, b, box);
  cp_async_bulk_tensor_3d_shared_to_global(&map, a, b, c, box);
  cp_async_bulk_tensor_4d_shared_to_global(&map, a, b, c, d, box);
  cp_async_bulk_tensor_5d_shared_to_global(&map, a, b, c, d, e, box);
  cp_async_bulk_commit_group();
  cp_async_bulk_wait_group_read<0>();
  cp_async_bulk_wait_group_read<2>();
}
#endif

// What differs on purpose, and only has to compile: copies that NVIDIA's header gives to the hardware, and a wait that it has not.
#ifdef SPEEDLAB
extern "C" __global__ void copies(float* from, float* out, size_t bytes) {
  __shared__ unsigned long long place;
  __shared__ alignas(16) float box[256];
  block_barrier* at = reinterpret_cast<block_barrier*>(&place);
  cuda::barrier<cuda::thread_scope_thread> own;
  init(at, blockDim.x);
  cuda::memcpy_async(box, from, bytes, *at);
  cuda::memcpy_async(box, from, bytes, own);
  cuda::memcpy_async(cooperative_groups::this_thread_block(), box, from, bytes, *at);
  at->arrive_and_wait();
#if __CUDA_ARCH__ >= 900
  cuda::device::memcpy_async_tx(box, from, bytes, *at);
  cuda::device::experimental::cp_async_bulk_wait_group<0>();
#endif
  out[threadIdx.x] = box[threadIdx.x];
}
#endif
