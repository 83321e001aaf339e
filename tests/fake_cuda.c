/* A CUDA driver to ask and to copy with, not to compute with: the calls of aifactory_lab/device.py and links/cuda.py, with
   the answers and faults that FAKE_CUDA_* in the environment ask for. Signatures and codes as in NVIDIA's cuda.h. A
   device's memory is the host's, and copies are real copies of it: what they are timed at is this machine's memory, a
   simulation of links that says nothing about any GPU. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, ALREADY = 704, NOT_READY = 600, MOST = 64 };
typedef unsigned long long pointer_t;
static int current = -1;       /* GPU whose context is the thread's own */
static int peers[MOST][MOST];  /* whose memory whose context may reach */
static long pinned, allocated; /* bytes that were lent and not given back */

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}
static int gpus(void) { return number("FAKE_CUDA_GPUS", 2); }

int cuInit(unsigned flags) {
    (void)flags;
    if (getenv("FAKE_CUDA_CRASH")) *(volatile int *)0 = 0;
    if (getenv("FAKE_CUDA_EXIT")) _exit(3);
    if (getenv("FAKE_CUDA_CHATTER")) puts("NVRM: a line that a driver prints");
    int code = number("FAKE_CUDA_INIT", 0);
    return code ? code : gpus() == 0 ? 100 : 0;
}
int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA_VERSION", 12080); return 0; }
int cuDeviceGetCount(int *count) {
    if (gpus() == 0) return 100;
    *count = gpus();
    return 0;
}
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < gpus() ? OK : 101; }
int cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    strncpy(name, "NVIDIA H200", (size_t)length);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device + 1) << 37; return 0; }
int cuDeviceGetPCIBusId(char *text, int length, int device) { /* the order of fake_nvml.c, or its reverse */
    int bus = number("FAKE_CUDA_REVERSED", 0) ? gpus() - 1 - device : device;
    return snprintf(text, (size_t)length, "0000:%02X:00.0", bus) < length ? OK : INVALID;
}

/* Contexts: of GPU i the primary one is at this address + i */
#define CONTEXT ((char *)0x1234567890ab)
static int owner(void *context) { return (int)((char *)context - CONTEXT); }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = CONTEXT + device;
    return number("FAKE_CUDA_CONTEXT", 0);
}
int cuCtxSetCurrent(void *context) {
    if (owner(context) < 0 || owner(context) >= gpus()) return INVALID_CONTEXT;
    current = owner(context);
    return OK;
}
int cuCtxSynchronize(void) { return current < 0 ? INVALID_CONTEXT : OK; }
int cuDeviceCanAccessPeer(int *may, int device, int peer) {
    *may = number("FAKE_CUDA_PEERS", 1);
    return device == peer ? INVALID : OK;
}
int cuCtxEnablePeerAccess(void *context, unsigned flags) {
    if (current < 0 || flags || owner(context) == current) return INVALID_CONTEXT;
    return peers[current][owner(context)]++ ? ALREADY : OK;
}

/* Memory: a block begins with its size, so that what is given back is known, and 64 bytes later what is lent */
enum { HEAD = 64 };
static void *lend(size_t bytes, long *count) {
    char *block = aligned_alloc(HEAD, (bytes / HEAD + 2) * HEAD);
    if (!block) return NULL;
    *(size_t *)block = bytes;
    *count += (long)bytes;
    return memset(block + HEAD, 0, bytes);
}
static int back(char *lent, long *count) {
    if (!lent) return INVALID;
    *count -= (long)*(size_t *)(lent - HEAD);
    free(lent - HEAD);
    return OK;
}
int cuMemAlloc_v2(pointer_t *pointer, size_t bytes) {
    int code = number("FAKE_CUDA_MALLOC", 0), most = number("FAKE_CUDA_MEMORY", 1 << 30);
    if (code || current < 0 || bytes > (size_t)most) return code ? code : current < 0 ? INVALID_CONTEXT : OUT_OF_MEMORY;
    return (*pointer = (pointer_t)(size_t)lend(bytes, &allocated)) ? OK : OUT_OF_MEMORY;
}
int cuMemFree_v2(pointer_t pointer) { return back((char *)(size_t)pointer, &allocated); }
int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
    if (flags != 1 || number("FAKE_CUDA_PINNED", 0)) return flags != 1 ? INVALID : number("FAKE_CUDA_PINNED", 0);
    return (*pointer = lend(bytes, &pinned)) ? OK : OUT_OF_MEMORY;
}
int cuMemFreeHost(void *pointer) { return back(pointer, &pinned); }

/* Copies: at once, whatever the stream; a peer that may not be reached goes through a buffer, as the driver does */
static int copy(pointer_t to, pointer_t from, size_t bytes) {
    if (current < 0) return INVALID_CONTEXT;
    memcpy((void *)(size_t)to, (const void *)(size_t)from, bytes);
    return OK;
}
int cuMemcpyHtoD_v2(pointer_t to, const void *from, size_t bytes) { return copy(to, (size_t)from, bytes); }
int cuMemcpyDtoH_v2(void *to, pointer_t from, size_t bytes) { return copy((size_t)to, from, bytes); }
int cuMemcpyHtoDAsync_v2(pointer_t to, const void *from, size_t bytes, void *stream) {
    return stream ? copy(to, (size_t)from, bytes) : INVALID;
}
int cuMemcpyDtoHAsync_v2(void *to, pointer_t from, size_t bytes, void *stream) {
    return stream ? copy((size_t)to, from, bytes) : INVALID;
}
int cuMemcpyPeerAsync(pointer_t to, void *there, pointer_t from, void *here, size_t bytes, void *stream) {
    if (!stream || owner(here) != current || owner(there) == current) return INVALID_CONTEXT;
    if (peers[current][owner(there)]) return copy(to, from, bytes);
    pointer_t between = (pointer_t)(size_t)malloc(bytes);
    int code = between ? copy(between, from, bytes) | copy(to, between, bytes) : OUT_OF_MEMORY;
    free((void *)(size_t)between);
    return code;
}

/* Streams are marks, events are times */
typedef struct { struct timespec at; int recorded; } event_t;
int cuStreamCreate(void **stream, unsigned flags) { return (*stream = malloc(1)) && flags == 1 ? OK : INVALID; }
int cuStreamDestroy_v2(void *stream) { return free(stream), OK; }
int cuEventCreate(event_t **event, unsigned flags) { return (*event = calloc(1, sizeof **event)) && !flags ? OK : INVALID; }
int cuEventDestroy_v2(event_t *event) { return free(event), OK; }
int cuEventRecord(event_t *event, void *stream) {
    event->recorded = stream != NULL;
    return clock_gettime(CLOCK_MONOTONIC, &event->at);
}
int cuEventSynchronize(event_t *event) { return event->recorded ? OK : NOT_READY; }
int cuEventElapsedTime(float *milliseconds, event_t *first, event_t *last) {
    if (!first->recorded || !last->recorded) return NOT_READY;
    double seconds = (double)(last->at.tv_sec - first->at.tv_sec) + (double)(last->at.tv_nsec - first->at.tv_nsec) / 1e9;
    return *milliseconds = (float)(seconds * 1e3), OK;
}

int cuGetErrorName(int code, const char **name) {
    *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 46 ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
          : code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *name ? 0 : 1;
}
__attribute__((destructor)) static void end(void) { /* what was lent must have come back */
    if (number("FAKE_CUDA_STRICT", 0) && (pinned || allocated)) {
        fprintf(stderr, "%ld bytes of pinned and %ld of device memory were not given back\n", pinned, allocated);
        _exit(4);
    }
}
