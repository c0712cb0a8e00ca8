/* NVIDIA's management library without a GPU, beside fake_cuda.c: one card, that one's, as busy as FAKE_NVML_UTILIZATION says in percent
 * (37 if it says nothing). "error" in it is a card that does not count, as parts of cards do not.
 *
 *   cc -shared -fPIC -O2 -o libnvidia-ml.so.1 fake_nvml.c
 *
 * The names and numbers are those of NVIDIA's nvml.h.
 */
#include <stdlib.h>
#include <string.h>

typedef int Result; /* 0 is success */
typedef struct { unsigned gpu, memory; } Utilization;
enum { NOT_SUPPORTED = 3, NOT_FOUND = 6 };

static char card;

Result nvmlInit_v2(void) { return 0; }
Result nvmlShutdown(void) { return 0; }
Result nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **device) {
    if (strcmp(bus, "0000:00:00.0")) return NOT_FOUND;
    *device = &card;
    return 0;
}
Result nvmlDeviceGetUtilizationRates(void *device, Utilization *utilization) {
    const char *percent = getenv("FAKE_NVML_UTILIZATION");
    if (device != &card) return NOT_FOUND;
    if (percent && !strcmp(percent, "error")) return NOT_SUPPORTED;
    utilization->gpu = percent ? (unsigned)atoi(percent) : 37;
    utilization->memory = 0;
    return 0;
}
