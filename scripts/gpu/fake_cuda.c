/* A CUDA driver without a GPU, for scripts/gpu/precompile.py: memory is the host's, launches are counted and do nothing, and code is
 * whatever NVIDIA's compiler (NVRTC) made for the compute capability that is asked for. A program built with the feature `cuda` generates
 * and compiles every kernel of its step with it, on a machine without a card. No value that it computes means anything.
 *
 *   cc -shared -fPIC -O2 -o libcuda.so.1 fake_cuda.c
 *
 * FAKE_CUDA_CC: the compute capability, 90 if not given. FAKE_CUDA_LOG: a file that gets the counts at the program's end, as JSON.
 * The names and numbers are those of NVIDIA's cuda.h.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Result; /* 0 is success */
typedef uint64_t Pointer;
#define KERNELS 16384

static long launches, captured, graph_launches, launches_of_graphs, waits, modules, to_device, to_device_bytes, to_host, to_host_bytes, within_device, fills, allocations;
static struct { char name[200]; long launches; } *table;
static int kernels;
static int capturing;

static void report(void) {
    const char *path = getenv("FAKE_CUDA_LOG");
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!out) return;
    fprintf(out,
            "{\"launches\": %ld, \"graph_launches\": %ld, \"launches_of_graphs\": %ld, \"waits\": %ld, \"kernels\": %d, \"modules\": %ld, \"copies_to_device\": %ld, \"bytes_to_device\": %ld, "
            "\"copies_to_host\": %ld, \"bytes_to_host\": %ld, \"copies_within_device\": %ld, \"fills\": %ld, \"allocations\": %ld, \"launched\": [",
            launches, graph_launches, launches_of_graphs, waits, kernels, modules, to_device, to_device_bytes, to_host, to_host_bytes, within_device, fills, allocations);
    for (int index = 0; index < kernels; index++) {
        fprintf(out, "%s[\"%s\", %ld]", index ? ", " : "", table[index].name, table[index].launches);
    }
    fprintf(out, "]}\n");
    fclose(out);
}

/* Kernels that only measure how fast the card is: a launch takes as long as cubecl wants it to. */
static void launched(void *kernel) {
    long index = (long)((uintptr_t)kernel - 1);
    if (capturing) {
        captured++;
        return;
    }
    launches++;
    table[index].launches++;
    if (strstr(table[index].name, "throughput")) usleep(20000);
}

Result cuInit(unsigned flags) {
    static int once;
    (void)flags;
    if (!once++) {
        table = calloc(KERNELS, sizeof *table);
        atexit(report);
    }
    return 0;
}
/* NVRTC asks for it where it finds a driver; 500 is "not found". */
Result cuGetExportTable(const void **table, const void *id) { (void)id; *table = NULL; return 500; }
Result cuDriverGetVersion(int *version) { *version = 13000; return 0; }
Result cuDeviceGetCount(int *count) { *count = 1; return 0; }
Result cuDeviceGet(int *device, int index) { if (index) return 101; *device = 0; return 0; }
Result cuDeviceGetName(char *name, int length, int device) { (void)device; snprintf(name, length, "No GPU (fake driver)"); return 0; }
Result cuDeviceGetUuid(void *id, int device) { (void)device; memset(id, 7, 16); return 0; }
Result cuDeviceGetUuid_v2(void *id, int device) { return cuDeviceGetUuid(id, device); }
Result cuDeviceGetLuid(char *id, unsigned *mask, int device) { (void)device; memset(id, 0, 8); *mask = 1; return 0; }
Result cuDeviceGetPCIBusId(char *id, int length, int device) { (void)device; snprintf(id, length, "0000:00:00.0"); return 0; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)80 << 30; return 0; }
Result cuMemGetInfo_v2(size_t *free, size_t *total) { *free = (size_t)79 << 30; *total = (size_t)80 << 30; return 0; }

/* An H100's. */
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    const char *given = getenv("FAKE_CUDA_CC");
    int capability = given ? atoi(given) : 90;
    (void)device;
    switch (attribute) {
    case 1: case 2: case 3: *value = 1024; break; /* threads of a block, along x and y */
    case 4: *value = 64; break;                   /* along z */
    case 5: *value = 2147483647; break;           /* blocks along x */
    case 6: case 7: *value = 65535; break;        /* along y and z */
    case 8: *value = 49152; break;                /* shared memory of a block */
    case 10: *value = 32; break;                  /* threads of a warp */
    case 12: *value = 65536; break;               /* registers of a block */
    case 13: *value = 1980000; break;             /* kHz */
    case 16: *value = 132; break;                 /* multiprocessors */
    case 36: *value = 2619000; break;             /* kHz of the memory */
    case 37: *value = 5120; break;                /* bits of its bus */
    case 38: *value = 52428800; break;            /* L2 */
    case 39: *value = 2048; break;                /* threads of a multiprocessor */
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    case 81: *value = 233472; break;              /* shared memory of a multiprocessor */
    case 97: *value = 232448; break;              /* of a block that asks for more */
    default: *value = 1;
    }
    return 0;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = (void *)0x10; return 0; }
Result cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
Result cuCtxSetCurrent(void *context) { (void)context; return 0; }
Result cuCtxGetCurrent(void **context) { *context = (void *)0x10; return 0; }
Result cuCtxPushCurrent_v2(void *context) { (void)context; return 0; }
Result cuCtxPopCurrent_v2(void **context) { *context = (void *)0x10; return 0; }
Result cuCtxGetDevice(int *device) { *device = 0; return 0; }
Result cuCtxSynchronize(void) { capturing = 0; waits++; return 0; }
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
Result cuDeviceCanAccessPeer(int *can, int one, int other) { (void)one; (void)other; *can = 0; return 0; }
Result cuDeviceGetDefaultMemPool(void **pool, int device) { (void)device; *pool = (void *)0x20; return 0; }
Result cuMemPoolSetAttribute(void *pool, int attribute, void *value) { (void)pool; (void)attribute; (void)value; return 0; }

Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) {
    void *memory = NULL;
    allocations++;
    capturing = 0;
    if (posix_memalign(&memory, 512, bytes ? bytes : 1)) return 2; /* out of memory */
    *pointer = (Pointer)memory;
    return 0;
}
Result cuMemAllocAsync(Pointer *pointer, size_t bytes, void *stream) { (void)stream; return cuMemAlloc_v2(pointer, bytes); }
Result cuMemAllocPitch_v2(Pointer *pointer, size_t *pitch, size_t width, size_t height, unsigned size) {
    (void)size;
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc_v2(pointer, *pitch * height);
}
Result cuMemAllocManaged(Pointer *pointer, size_t bytes, unsigned flags) { (void)flags; return cuMemAlloc_v2(pointer, bytes); }
Result cuMemFree_v2(Pointer pointer) { free((void *)pointer); return 0; }
Result cuMemFreeAsync(Pointer pointer, void *stream) { (void)stream; return cuMemFree_v2(pointer); }
Result cuMemAllocHost_v2(void **memory, size_t bytes) { *memory = calloc(1, bytes ? bytes : 1); return *memory ? 0 : 2; }
Result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) { (void)flags; return cuMemAllocHost_v2(memory, bytes); }
Result cuMemFreeHost(void *memory) { free(memory); return 0; }
Result cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags) { (void)memory; (void)bytes; (void)flags; return 0; }
Result cuMemHostUnregister(void *memory) { (void)memory; return 0; }

Result cuMemcpyHtoD_v2(Pointer to, const void *from, size_t bytes) {
    to_device++;
    to_device_bytes += bytes;
    memcpy((void *)to, from, bytes);
    return 0;
}
Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *stream) { (void)stream; return cuMemcpyHtoD_v2(to, from, bytes); }
Result cuMemcpyDtoH_v2(void *to, Pointer from, size_t bytes) {
    to_host++;
    to_host_bytes += bytes;
    memset(to, 0, bytes); /* nothing was computed: zeros, and the same in every run */
    (void)from;
    return 0;
}
Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *stream) { (void)stream; return cuMemcpyDtoH_v2(to, from, bytes); }
Result cuMemcpyDtoD_v2(Pointer to, Pointer from, size_t bytes) { within_device++; memmove((void *)to, (void *)from, bytes); return 0; }
Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *stream) { (void)stream; return cuMemcpyDtoD_v2(to, from, bytes); }
Result cuMemsetD8_v2(Pointer to, unsigned char value, size_t bytes) { fills++; memset((void *)to, value, bytes); return 0; }
Result cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, void *stream) { (void)stream; return cuMemsetD8_v2(to, value, bytes); }
Result cuMemsetD32Async(Pointer to, unsigned value, size_t count, void *stream) {
    (void)stream;
    fills++;
    for (size_t index = 0; index < count; index++) ((unsigned *)to)[index] = value;
    return 0;
}

typedef struct {
    size_t from_x, from_y;
    int from_kind;
    const void *from_host;
    Pointer from_device;
    void *from_array;
    size_t from_pitch, to_x, to_y;
    int to_kind;
    void *to_host;
    Pointer to_device;
    void *to_array;
    size_t to_pitch, width, height;
} Copy;

Result cuMemcpy2DAsync_v2(const Copy *copy, void *stream) {
    enum { HOST = 1 };
    const char *from = copy->from_kind == HOST ? copy->from_host : (const char *)copy->from_device;
    char *to = copy->to_kind == HOST ? copy->to_host : (char *)copy->to_device;
    size_t bytes = copy->width * copy->height;
    (void)stream;
    for (size_t row = 0; row < copy->height; row++) {
        char *target = to + (copy->to_y + row) * copy->to_pitch + copy->to_x;
        if (copy->to_kind == HOST) memset(target, 0, copy->width);
        else memcpy(target, from + (copy->from_y + row) * copy->from_pitch + copy->from_x, copy->width);
    }
    if (copy->from_kind == HOST) { to_device++; to_device_bytes += bytes; }
    else if (copy->to_kind == HOST) { to_host++; to_host_bytes += bytes; }
    else within_device++;
    return 0;
}

Result cuStreamCreate(void **stream, unsigned flags) { (void)flags; *stream = calloc(1, 8); return 0; }
Result cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { (void)priority; return cuStreamCreate(stream, flags); }
Result cuStreamDestroy_v2(void *stream) { free(stream); return 0; }
Result cuStreamSynchronize(void *stream) { (void)stream; capturing = 0; waits++; return 0; }
Result cuStreamQuery(void *stream) { (void)stream; return 0; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)stream; (void)event; (void)flags; return 0; }
Result cuStreamIsCapturing(void *stream, int *is) { (void)stream; *is = 0; return 0; }
/* A graph is the number of its launches. What would end a capture on a card ends it here: a wait, a copy from the host, an allocation. */
Result cuStreamBeginCapture_v2(void *stream, int mode) { (void)stream; (void)mode; capturing = 1; captured = 0; return 0; }
Result cuStreamEndCapture(void *stream, void **graph) {
    (void)stream;
    if (!capturing) return 901; /* the capture was invalidated */
    capturing = 0;
    *graph = (void *)(uintptr_t)(captured + 1);
    return 0;
}
Result cuGraphGetNodes(void *graph, void **nodes, size_t *count) { (void)graph; (void)nodes; *count = 0; return 0; }
Result cuGraphNodeGetType(void *node, int *type) { (void)node; *type = 0; return 0; }
Result cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) { (void)flags; *executable = graph; return 0; }
Result cuGraphUpload(void *executable, void *stream) { (void)executable; (void)stream; return 0; }
Result cuGraphLaunch(void *executable, void *stream) {
    (void)stream;
    graph_launches++;
    launches_of_graphs += (long)(uintptr_t)executable - 1;
    return 0;
}
Result cuGraphDestroy(void *graph) { (void)graph; return 0; }
Result cuGraphExecDestroy(void *executable) { (void)executable; return 0; }
Result cuLaunchHostFunc(void *stream, void (*function)(void *), void *data) { (void)stream; function(data); return 0; }
Result cuEventCreate(void **event, unsigned flags) { (void)flags; *event = calloc(1, 8); return 0; }
Result cuEventRecord(void *event, void *stream) { (void)event; (void)stream; return 0; }
Result cuEventSynchronize(void *event) { (void)event; capturing = 0; waits++; return 0; }
Result cuEventQuery(void *event) { (void)event; return 0; }
/* So long that no tuned kernel is found good enough: all that may be chosen on a card are compiled. */
Result cuEventElapsedTime(float *milliseconds, void *from, void *to) { (void)from; (void)to; *milliseconds = 20; return 0; }
Result cuEventElapsedTime_v2(float *milliseconds, void *from, void *to) { return cuEventElapsedTime(milliseconds, from, to); }
Result cuEventDestroy_v2(void *event) { free(event); return 0; }

Result cuModuleLoadData(void **module, const void *image) { (void)image; *module = (void *)(uintptr_t)(0x1000 + ++modules); return 0; }
Result cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
    (void)count; (void)options; (void)values;
    return cuModuleLoadData(module, image);
}
Result cuModuleUnload(void *module) { (void)module; return 0; }
Result cuModuleGetFunction(void **function, void *module, const char *name) {
    (void)module;
    if (kernels == KERNELS) return 2;
    snprintf(table[kernels].name, sizeof table->name, "%s", name);
    *function = (void *)(uintptr_t)++kernels;
    return 0;
}
Result cuFuncSetAttribute(void *function, int attribute, int value) { (void)function; (void)attribute; (void)value; return 0; }
Result cuFuncGetAttribute(int *value, int attribute, void *function) { (void)function; (void)attribute; *value = 32; return 0; }
Result cuFuncSetCacheConfig(void *function, int config) { (void)function; (void)config; return 0; }
Result cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                      unsigned shared, void *stream, void **parameters, void **more) {
    (void)grid_x; (void)grid_y; (void)grid_z; (void)block_x; (void)block_y; (void)block_z; (void)shared; (void)stream; (void)parameters; (void)more;
    launched(function);
    return 0;
}
Result cuLaunchKernelEx(const void *config, void *function, void **parameters, void **more) {
    (void)config; (void)parameters; (void)more;
    launched(function);
    return 0;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int threads, size_t shared) {
    (void)function; (void)threads; (void)shared;
    *blocks = 2;
    return 0;
}
Result cuTensorMapEncodeTiled(void) { return 0; }
Result cuTensorMapEncodeIm2col(void) { return 0; }
Result cuTensorMapEncodeIm2colWide(void) { return 0; }
Result cuGetErrorName(int error, const char **name) { (void)error; *name = "CUDA_ERROR"; return 0; }
Result cuGetErrorString(int error, const char **text) { (void)error; *text = "an error of the fake driver"; return 0; }
