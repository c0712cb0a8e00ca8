// <cooperative_groups/memcpy_async.h>: what kernels of cubecl copy with is in <cuda/barrier>.
#pragma once
#include <cooperative_groups.h>
