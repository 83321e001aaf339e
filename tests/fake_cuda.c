/* A CUDA driver to ask, not to compute with: the ten calls of aifactory_lab/device.py, with the answers and faults
   that FAKE_CUDA_* in the environment ask for. Signatures and codes as in NVIDIA's cuda.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuInit(unsigned flags) {
    (void)flags;
    if (getenv("FAKE_CUDA_CRASH")) *(volatile int *)0 = 0;
    if (getenv("FAKE_CUDA_EXIT")) _exit(3);
    if (getenv("FAKE_CUDA_CHATTER")) puts("NVRM: a line that a driver prints");
    int code = number("FAKE_CUDA_INIT", 0);
    return code ? code : number("FAKE_CUDA_GPUS", 2) == 0 ? 100 : 0;
}
int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA_VERSION", 12080); return 0; }
int cuDeviceGetCount(int *count) {
    if (number("FAKE_CUDA_GPUS", 2) == 0) return 100;
    *count = number("FAKE_CUDA_GPUS", 2);
    return 0;
}
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    strncpy(name, "NVIDIA H200", (size_t)length);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device + 1) << 37; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    *context = (void *)0x1234567890ab;
    return number("FAKE_CUDA_CONTEXT", 0);
}
int cuCtxSetCurrent(void *context) { return context == (void *)0x1234567890ab ? 0 : 201; }
int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
    *pointer = 4096;
    return bytes == 1024 ? number("FAKE_CUDA_MALLOC", 0) : 1;
}
int cuGetErrorName(int code, const char **name) {
    *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 46 ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
          : code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *name ? 0 : 1;
}
