/* A management library to ask, with no GPU behind it: NVML's calls, answered from a memory-mapped file of float64 that
   a test writes while the program under test runs. Signatures, layouts and codes as in NVIDIA's nvml.h.

   The file ($FAKE_NVML_STATE, read when the first nvmlInit comes) has rows of FIELDS numbers: switches of the driver,
   calls counted per group (as uint64), microseconds that a call of the group takes, then one row per GPU. In a GPU's
   row NaN makes the value's calls NOT_SUPPORTED and -n makes them return the code n. tests/telemetry/driver.py reads
   the names from the enums below. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum driver { GPUS, INIT_RC, COUNT_RC, DRIVER_VERSION, CUDA_VERSION };
enum call { INIT, HANDLE, IDENTITY, UTILISATION, MEMORY, TEMPERATURES, FANS, POWER, POWER_LIMIT, ENERGY, CLOCK,
            MAX_CLOCK, PCIE_THROUGHPUT, PCIE_LINK, NVLINK, FIELD_VALUES, FIELD_PCIE, FIELD_NVLINK, FIELD_ENERGY,
            FIELD_OTHER, ECC, REMAPPED_ROWS, REASONS, PROCESSES, PROCESS_UTILISATION, MIG, EVENTS, GPM, GPM_TOO_SOON,
            SETTINGS, CALLS };
enum field { RC, GENERATION, CALL_US, BUSY, MEMORY_BUSY, MEMORY_USED, MEMORY_TOTAL, MEMORY_RESERVED, UNIFIED,
             TEMPERATURE, MEMORY_TEMPERATURE, FAN, POWER_MW, LIMIT_MW, ENERGY_MJ, SM_MHZ, MEMORY_MHZ, SM_MAX_MHZ,
             MEMORY_MAX_MHZ, PCIE_TX, PCIE_RX, PCIE_BITS, PCIE_TX_KBS, PCIE_RX_KBS, PCIE_GENERATION, PCIE_WIDTH,
             NVLINK_TX_KIB, NVLINK_RX_KIB, LINKS, ECC_CORRECTED, ECC_UNCORRECTED, REMAPPED_CORRECTED,
             REMAPPED_UNCORRECTED, REMAP_PENDING, REMAP_FAILURE, THROTTLE, XID, GPM_SUPPORTED, GPM_SM, GPM_OCCUPANCY,
             GPM_TENSOR, GPM_DRAM, GPM_PCIE_TX_MIB, GPM_PCIE_RX_MIB, MIG_MODE, MIG_COUNT,
             MIG0_TOTAL, MIG0_USED, MIG1_TOTAL, MIG1_USED, MIG2_TOTAL, MIG2_USED, MIG3_TOTAL, MIG3_USED,
             MIG4_TOTAL, MIG4_USED, MIG5_TOTAL, MIG5_USED, MIG6_TOTAL, MIG6_USED,
             PID0, PID0_MEMORY, PID0_SM, PID0_INSTANCE, PID1, PID1_MEMORY, PID1_SM, PID1_INSTANCE,
             PID2, PID2_MEMORY, PID2_SM, PID2_INSTANCE, PID3, PID3_MEMORY, PID3_SM, PID3_INSTANCE, FIELDS };
enum { DRIVER_ROW, CALLS_ROW, LATENCY_ROW, FIRST_GPU, MOST_PROCESSES = 4, MOST_INSTANCES = 7, MOST_GPUS = 16384 };
enum { OK = 0, UNINITIALISED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, SHORT = 7, NOT_LOADED = 9,
       TIMEOUT = 10, LOST = 15, MISMATCH = 25, UNKNOWN = 999 };
_Static_assert(CALLS <= FIELDS, "a row holds a number per group of calls");

typedef uintptr_t gpu_t;   /* (index + 1) << 16 | generation << 8 | MIG instance + 1, or 0 for the whole GPU */
typedef double row_t[FIELDS];
static row_t *state;       /* never unmapped: a sampler's thread may still be reading when the test ends */
static volatile int users;
static int gpus;

static void pause_us(double us) {
    if (us <= 0) return;
    struct timespec left = {(time_t)(us / 1e6), (long)fmod(us * 1e3, 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR) {}
}
static void tally(enum call call, double extra_us) {
    __atomic_fetch_add((uint64_t *)&state[CALLS_ROW][call], 1, __ATOMIC_RELAXED);
    pause_us(state[LATENCY_ROW][call] + extra_us);
}
static int get(const double *row, int field, double *out) {
    if (isnan(row[field])) return NOT_SUPPORTED;
    if (row[field] < 0) return (int)-row[field];
    *out = row[field];
    return OK;
}
static int check(gpu_t handle, double **row) {
    if (!users) return UNINITIALISED;
    if (handle >> 16 == 0 || handle >> 16 > (gpu_t)gpus) return INVALID;
    *row = state[FIRST_GPU + (handle >> 16) - 1];
    return ((handle >> 8) & 255) == ((unsigned)(*row)[GENERATION] & 255) ? OK : INVALID;
}
/* Begin a call on a GPU or, where the real driver allows it, on a MIG instance. */
static int enter(gpu_t handle, enum call call, int instances_too, double **row) {
    int rc = check(handle, row);
    if (rc) return rc;
    tally(call, (*row)[CALL_US]);
    if ((*row)[RC]) return (int)(*row)[RC];
    return (handle & 255) && !instances_too ? NOT_SUPPORTED : OK;
}
static gpu_t handle_of(int index) {
    return (gpu_t)(index + 1) << 16 | ((unsigned)state[FIRST_GPU + index][GENERATION] & 255) << 8;
}
static int in_mig_mode(const double *row) { return row[MIG_MODE] == 1; }

/* The library and the system */
int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const char *path = getenv("FAKE_NVML_STATE");
    if (!path || !*path) return NOT_LOADED;
    if (users) { users++; return OK; }
    int file = open(path, O_RDWR);
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) return NOT_LOADED;
    row_t *rows = mmap(NULL, facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (rows == MAP_FAILED) return NOT_LOADED;
    state = rows;
    gpus = (int)state[DRIVER_ROW][GPUS];
    if (gpus > MOST_GPUS || (size_t)facts.st_size < (FIRST_GPU + (size_t)gpus) * sizeof(row_t)) return UNKNOWN;
    tally(INIT, 0);
    if (state[DRIVER_ROW][INIT_RC]) return (int)state[DRIVER_ROW][INIT_RC];
    users++;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return users ? (users--, OK) : UNINITIALISED; }
const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case UNINITIALISED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case NOT_LOADED: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
static int write_text(char *text, unsigned size, const char *value) {
    return snprintf(text, size, "%s", value) < (int)size ? OK : SHORT;
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    if (!users) return UNINITIALISED;
    char version[32];
    snprintf(version, sizeof version, "%.2f.01", state[DRIVER_ROW][DRIVER_VERSION]);
    return write_text(text, size, version);
}
int nvmlSystemGetNVMLVersion(char *text, unsigned size) { return write_text(text, size, "13.580.65.06"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    return users ? (*version = (int)state[DRIVER_ROW][CUDA_VERSION], OK) : UNINITIALISED;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }
int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned size) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "r");
    if (!file) return NOT_FOUND;
    if (fgets(text, sizeof text, file)) text[strcspn(text, "\n")] = 0;
    fclose(file);
    return write_text(name, size, text);
}

/* Which GPU */
int nvmlDeviceGetCount_v2(unsigned *count) {
    return users ? (*count = (unsigned)gpus, (int)state[DRIVER_ROW][COUNT_RC]) : UNINITIALISED;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t *handle) {
    if (!users) return UNINITIALISED;
    if (index >= (unsigned)gpus) return INVALID;
    tally(HANDLE, state[FIRST_GPU + index][CALL_US]);
    *handle = handle_of((int)index);
    return (int)state[FIRST_GPU + index][RC];
}
int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t *handle) {
    unsigned index, instance = 0;
    if (sscanf(uuid, "GPU-%x", &index) != 1 && sscanf(uuid, "MIG-%x-%x", &index, &instance) != 2) return NOT_FOUND;
    int rc = nvmlDeviceGetHandleByIndex_v2(index, handle);
    if (!rc && uuid[0] == 'M') *handle |= instance + 1;
    return rc == INVALID ? NOT_FOUND : rc;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, gpu_t *handle) {
    unsigned domain, bus;
    if (sscanf(id, "%x:%x:", &domain, &bus) != 2) return INVALID;
    return nvmlDeviceGetHandleByIndex_v2(domain << 8 | bus, handle);
}
int nvmlDeviceGetIndex(gpu_t handle, unsigned *index) {
    double *row;
    int rc = enter(handle, IDENTITY, 1, &row);
    *index = rc ? 0 : handle & 255 ? (handle & 255) - 1 : (unsigned)(handle >> 16) - 1;
    return rc;
}
int nvmlDeviceGetMinorNumber(gpu_t handle, unsigned *minor) { return nvmlDeviceGetIndex(handle, minor); }
int nvmlDeviceGetName(gpu_t handle, char *text, unsigned size) {
    double *row;
    int rc = enter(handle, IDENTITY, 1, &row);
    if (rc) return rc;
    const char *whole = row[UNIFIED] == 1 ? "NVIDIA GB10" : "NVIDIA H100 80GB HBM3";
    return write_text(text, size, handle & 255 ? "NVIDIA H100 80GB HBM3 MIG 1g.10gb" : whole);
}
int nvmlDeviceGetUUID(gpu_t handle, char *text, unsigned size) {
    double *row;
    char uuid[64];
    int rc = enter(handle, IDENTITY, 1, &row), index = (int)(handle >> 16) - 1, instance = (int)(handle & 255) - 1;
    if (rc) return rc;
    if (instance < 0) snprintf(uuid, sizeof uuid, "GPU-%08x-0000-0000-0000-0000fa4e0000", index);
    else snprintf(uuid, sizeof uuid, "MIG-%08x-%04x-0000-0000-0000fa4e0000", index, instance);
    return write_text(text, size, uuid);
}
int nvmlDeviceGetSerial(gpu_t handle, char *text, unsigned size) {
    char serial[16];
    snprintf(serial, sizeof serial, "%013d", (int)(handle >> 16));
    return write_text(text, size, serial);
}
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char text[32]; } pci_t;
int nvmlDeviceGetPciInfo_v3(gpu_t handle, pci_t *pci) {
    double *row;
    int rc = enter(handle, IDENTITY, 0, &row);
    if (rc) return rc;
    unsigned index = (unsigned)(handle >> 16) - 1;
    *pci = (pci_t){.domain = index >> 8, .bus = index & 255, .id = 0x233010de, .subsystem = 0x16c110de};
    snprintf(pci->text, sizeof pci->text, "%08X:%02X:00.0", pci->domain, pci->bus);
    snprintf(pci->legacy, sizeof pci->legacy, "%04X:%02X:00.0", pci->domain & 0xffff, pci->bus);
    return OK;
}
int nvmlDeviceGetCpuAffinity(gpu_t handle, unsigned size, unsigned long *set) {
    double *row;
    int rc = enter(handle, IDENTITY, 1, &row);
    if (!rc) memset(set, 0xff, size * sizeof *set);
    return rc;
}

/* Readings that are one number each */
#define NUMBER(symbol, call, field, type)                                             \
    int symbol(gpu_t handle, type *out) {                                             \
        double *row, value = 0;                                                       \
        int rc = enter(handle, call, 0, &row);                                        \
        return rc || (rc = get(row, field, &value)) ? rc : (*out = (type)value, OK);  \
    }
/* ... or one of two, by an argument between */
#define NUMBERS(symbol, call, one, other, type)                                       \
    int symbol(gpu_t handle, int which, type *out) {                                  \
        double *row, value = 0;                                                       \
        int rc = enter(handle, call, 0, &row);                                        \
        if (!rc) rc = get(row, which OTHER ? other : one, &value);                    \
        return rc ? rc : (*out = (type)value, OK);                                    \
    }
#define CONSTANT(symbol, value) \
    int symbol(gpu_t handle, unsigned *out) { double *row; *out = value; return enter(handle, SETTINGS, 0, &row); }

NUMBER(nvmlDeviceGetPowerUsage, POWER, POWER_MW, unsigned)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, POWER_LIMIT, LIMIT_MW, unsigned)
NUMBER(nvmlDeviceGetPowerManagementLimit, POWER_LIMIT, LIMIT_MW, unsigned)
NUMBER(nvmlDeviceGetTotalEnergyConsumption, ENERGY, ENERGY_MJ, unsigned long long)
NUMBER(nvmlDeviceGetFanSpeed, FANS, FAN, unsigned)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, PCIE_LINK, PCIE_GENERATION, unsigned)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, PCIE_LINK, PCIE_GENERATION, unsigned)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, PCIE_LINK, PCIE_WIDTH, unsigned)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, PCIE_LINK, PCIE_WIDTH, unsigned)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, REASONS, THROTTLE, unsigned long long)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, REASONS, THROTTLE, unsigned long long)
#define OTHER == 2 /* NVML_CLOCK_MEM */
NUMBERS(nvmlDeviceGetClockInfo, CLOCK, SM_MHZ, MEMORY_MHZ, unsigned)
NUMBERS(nvmlDeviceGetMaxClockInfo, MAX_CLOCK, SM_MAX_MHZ, MEMORY_MAX_MHZ, unsigned)
#undef OTHER
#define OTHER == 1 /* NVML_PCIE_UTIL_RX_BYTES */
NUMBERS(nvmlDeviceGetPcieThroughput, PCIE_THROUGHPUT, PCIE_TX_KBS, PCIE_RX_KBS, unsigned)
#undef OTHER
#define OTHER < 0 /* one sensor */
NUMBERS(nvmlDeviceGetTemperature, TEMPERATURES, TEMPERATURE, TEMPERATURE, unsigned)
CONSTANT(nvmlDeviceGetPerformanceState, 0)
CONSTANT(nvmlDeviceGetPersistenceMode, 1)
CONSTANT(nvmlDeviceGetComputeMode, 0)
CONSTANT(nvmlDeviceGetDisplayActive, 0)
CONSTANT(nvmlDeviceGetDisplayMode, 0)
CONSTANT(nvmlDeviceGetArchitecture, 9)
CONSTANT(nvmlDeviceGetBrand, 2)
int nvmlDeviceGetDriverModel_v2(gpu_t handle, unsigned *now, unsigned *next) {
    (void)handle, (void)now, (void)next;
    return NOT_SUPPORTED; /* Windows only */
}
int nvmlDeviceGetDriverModel(gpu_t handle, unsigned *now, unsigned *next) {
    return nvmlDeviceGetDriverModel_v2(handle, now, next);
}
int nvmlDeviceGetCudaComputeCapability(gpu_t handle, int *major, int *minor) {
    double *row;
    *major = 9, *minor = 0;
    return enter(handle, SETTINGS, 1, &row);
}
typedef struct { unsigned version; int sensor, celsius; } temperature_t;
int nvmlDeviceGetTemperatureV(gpu_t handle, temperature_t *out) {
    return nvmlDeviceGetTemperature(handle, out->sensor, (unsigned *)&out->celsius);
}
int nvmlDeviceGetTemperatureThreshold(gpu_t handle, int which, unsigned *celsius) {
    double *row;
    *celsius = which == 0 ? 92 : which == 1 ? 89 : 87;
    return which > 3 ? NOT_SUPPORTED : enter(handle, SETTINGS, 0, &row);
}

/* Utilisation and memory: on a GPU in MIG mode the driver measures no utilisation, on MIG instances neither */
int nvmlDeviceGetUtilizationRates(gpu_t handle, unsigned out[2]) {
    double *row, busy = 0, memory = 0;
    int rc = enter(handle, UTILISATION, 0, &row);
    if (!rc && in_mig_mode(row)) rc = NOT_SUPPORTED;
    if (!rc) rc = get(row, BUSY, &busy);
    if (!rc) rc = get(row, MEMORY_BUSY, &memory);
    return rc ? rc : (out[0] = (unsigned)busy, out[1] = (unsigned)memory, OK);
}
static int codec(gpu_t handle, unsigned *utilisation, unsigned *period) {
    double *row;
    int rc = enter(handle, UTILISATION, 0, &row);
    *utilisation = 0, *period = 167000;
    return rc ? rc : in_mig_mode(row) ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetEncoderUtilization(gpu_t handle, unsigned *out, unsigned *us) { return codec(handle, out, us); }
int nvmlDeviceGetDecoderUtilization(gpu_t handle, unsigned *out, unsigned *us) { return codec(handle, out, us); }
static int memory(gpu_t handle, uint64_t *total, uint64_t *reserved, uint64_t *used) {
    double *row, value[3] = {0};
    int rc = enter(handle, MEMORY, 1, &row), instance = (int)(handle & 255) - 1;
    if (!rc && row[UNIFIED] == 1) rc = NOT_SUPPORTED;
    if (!rc) rc = get(row, instance < 0 ? MEMORY_TOTAL : MIG0_TOTAL + 2 * instance, &value[0]);
    if (!rc && instance < 0) rc = get(row, MEMORY_RESERVED, &value[1]);
    if (!rc) rc = get(row, instance < 0 ? MEMORY_USED : MIG0_USED + 2 * instance, &value[2]);
    return rc ? rc : (*total = (uint64_t)value[0], *reserved = (uint64_t)value[1], *used = (uint64_t)value[2], OK);
}
typedef struct { uint64_t total, free, used; } memory_t;
typedef struct { unsigned version; uint64_t total, reserved, free, used; } memory_v2_t;
int nvmlDeviceGetMemoryInfo_v2(gpu_t handle, memory_v2_t *out) {
    if (out->version != 0x02000028) return MISMATCH;
    int rc = memory(handle, &out->total, &out->reserved, &out->used);
    return rc ? rc : (out->free = out->total - out->reserved - out->used, OK);
}
int nvmlDeviceGetMemoryInfo(gpu_t handle, memory_t *out) {
    uint64_t reserved;
    int rc = memory(handle, &out->total, &reserved, &out->used);
    return rc ? rc : (out->used += reserved, out->free = out->total - out->used, OK);
}
int nvmlDeviceGetBAR1MemoryInfo(gpu_t handle, memory_t *out) {
    double *row;
    *out = (memory_t){.total = 1ull << 37, .free = (1ull << 37) - (1ull << 20), .used = 1ull << 20};
    return enter(handle, MEMORY, 0, &row);
}

/* Field values */
typedef struct {
    unsigned id, scope;
    int64_t time_us, latency_us;
    int type, rc;
    union { double number; unsigned u32; uint64_t u64; } value;
} field_value_t;
enum { U32 = 1, U64 = 3 };
static int field_of(unsigned id, enum call *call, int *type) {
    *call = FIELD_OTHER, *type = U64;
    switch (id) {
    case 3: return ECC_CORRECTED;
    case 4: return ECC_UNCORRECTED;
    case 82: *type = U32; return MEMORY_TEMPERATURE;
    case 83: *call = FIELD_ENERGY; return ENERGY_MJ;
    case 91: *type = U32; return LINKS;
    case 138: *call = FIELD_NVLINK; return NVLINK_TX_KIB;
    case 139: *call = FIELD_NVLINK; return NVLINK_RX_KIB;
    case 142: *type = U32; return REMAPPED_CORRECTED;
    case 143: *type = U32; return REMAPPED_UNCORRECTED;
    case 144: *type = U32; return REMAP_PENDING;
    case 145: *type = U32; return REMAP_FAILURE;
    case 185: case 186: *type = U32; return POWER_MW;
    case 190: *type = U32; return LIMIT_MW;
    case 197: *call = FIELD_PCIE; return PCIE_TX;
    case 198: *call = FIELD_PCIE; return PCIE_RX;
    default: return -1;
    }
}
static int64_t now_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}
static void read_field(const double *row, field_value_t *out) {
    double value = 0;
    enum call call;
    int64_t begun = now_us(CLOCK_MONOTONIC);
    int field = field_of(out->id, &call, &out->type);
    tally(call, 0);
    out->rc = field < 0 ? NOT_SUPPORTED : get(row, field, &value);
    if (!out->rc && (field == NVLINK_TX_KIB || field == NVLINK_RX_KIB)) {
        if (!(row[LINKS] > 0)) out->rc = NOT_SUPPORTED;
        else if (out->scope != UINT32_MAX) out->rc = out->scope < row[LINKS] ? OK : INVALID, value /= row[LINKS];
    }
    if (call == FIELD_PCIE && row[PCIE_BITS] == 32) out->type = U32;
    out->value.u64 = out->type == U32 ? (uint32_t)(uint64_t)value : (uint64_t)value;
    out->time_us = now_us(CLOCK_REALTIME);
    out->latency_us = now_us(CLOCK_MONOTONIC) - begun;
}
int nvmlDeviceGetFieldValues(gpu_t handle, int count, field_value_t *values) {
    double *row;
    int rc = enter(handle, FIELD_VALUES, 0, &row);
    for (int i = 0; !rc && i < count; i++) read_field(row, &values[i]);
    return rc;
}
int nvmlDeviceGetNvLinkState(gpu_t handle, unsigned link, unsigned *active) {
    double *row, links = 0;
    int rc = enter(handle, NVLINK, 0, &row);
    if (!rc) rc = get(row, LINKS, &links);
    return rc ? rc : link < links ? (*active = 1, OK) : INVALID;
}
int nvmlDeviceGetNvLinkVersion(gpu_t handle, unsigned link, unsigned *version) {
    *version = 4;
    return nvmlDeviceGetNvLinkState(handle, link, &(unsigned){0});
}

/* Health */
int nvmlDeviceGetTotalEccErrors(gpu_t handle, int type, int counter, uint64_t *count) {
    double *row, value = 0;
    int rc = enter(handle, ECC, 0, &row);
    (void)counter;
    if (!rc) rc = get(row, type == 0 ? ECC_CORRECTED : ECC_UNCORRECTED, &value);
    return rc ? rc : (*count = (uint64_t)value, OK);
}
int nvmlDeviceGetMemoryErrorCounter(gpu_t handle, int type, int counter, int location, uint64_t *count) {
    (void)location;
    return nvmlDeviceGetTotalEccErrors(handle, type, counter, count);
}
int nvmlDeviceGetEccMode(gpu_t handle, unsigned *now, unsigned *next) {
    double *row, value = 0;
    int rc = enter(handle, ECC, 0, &row);
    *now = *next = 1;
    return rc ? rc : get(row, ECC_CORRECTED, &value);
}
int nvmlDeviceGetRemappedRows(gpu_t handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failure) {
    double *row, value[4] = {0};
    int rc = enter(handle, REMAPPED_ROWS, 0, &row);
    for (int i = 0; !rc && i < 4; i++) rc = get(row, REMAPPED_CORRECTED + i, &value[i]);
    *corrected = (unsigned)value[0], *uncorrected = (unsigned)value[1];
    *pending = (unsigned)value[2], *failure = (unsigned)value[3];
    return rc;
}
typedef struct { gpu_t handle[MOST_GPUS]; double seen[MOST_GPUS]; } event_set_t;
typedef struct { gpu_t device; uint64_t type, data; unsigned gpu_instance, compute_instance; } event_t;
int nvmlEventSetCreate(event_set_t **set) {
    return users ? ((*set = calloc(1, sizeof **set)) ? OK : UNKNOWN) : UNINITIALISED;
}
int nvmlEventSetFree(event_set_t *set) { free(set); return OK; }
int nvmlDeviceGetSupportedEventTypes(gpu_t handle, uint64_t *types) {
    double *row, value = 0;
    int rc = enter(handle, EVENTS, 0, &row);
    *types = 8; /* nvmlEventTypeXidCriticalError */
    return rc ? rc : get(row, XID, &value);
}
int nvmlDeviceRegisterEvents(gpu_t handle, uint64_t types, event_set_t *set) {
    double *row;
    uint64_t supported;
    int rc = nvmlDeviceGetSupportedEventTypes(handle, &supported);
    if (rc || (rc = types & ~supported ? NOT_SUPPORTED : check(handle, &row))) return rc;
    set->handle[(handle >> 16) - 1] = handle;
    set->seen[(handle >> 16) - 1] = row[XID];
    return OK;
}
int nvmlEventSetWait_v2(event_set_t *set, event_t *event, unsigned timeout_ms) {
    if (!users) return UNINITIALISED;
    tally(EVENTS, 0);
    for (int64_t end = now_us(CLOCK_MONOTONIC) + timeout_ms * 1000ll;; pause_us(2000)) {
        for (int i = 0; i < gpus; i++) {
            double xid = state[FIRST_GPU + i][XID];
            if (!set->handle[i] || isnan(xid) || xid == set->seen[i]) continue;
            set->seen[i] = xid;
            *event = (event_t){set->handle[i], 8, (uint64_t)xid, UINT32_MAX, UINT32_MAX};
            return OK;
        }
        if (now_us(CLOCK_MONOTONIC) >= end) return TIMEOUT;
    }
}

/* Processes */
typedef struct { unsigned pid; uint64_t memory; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned pid; uint64_t time_us; unsigned sm, memory, encoder, decoder; } process_use_t;
static int processes(gpu_t handle, unsigned *count, process_t *out) {
    double *row, pid = 0;
    unsigned found = 0, room = *count;
    int rc = enter(handle, PROCESSES, 1, &row), instance = (int)(handle & 255) - 1;
    for (int i = 0; !rc && i < MOST_PROCESSES; i++) {
        const double *one = row + PID0 + i * (PID1 - PID0);
        if ((rc = get(one, 0, &pid)) || pid == 0 || (instance >= 0 && one[3] != instance)) continue;
        if (out && found < room)
            out[found] = (process_t){(unsigned)pid, isnan(one[1]) ? UINT64_MAX : (uint64_t)one[1],
                                     in_mig_mode(row) ? (unsigned)one[3] : UINT32_MAX,
                                     in_mig_mode(row) ? 0 : UINT32_MAX};
        found++;
    }
    *count = found;
    return rc ? rc : found > room ? SHORT : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t h, unsigned *n, process_t *out) { return processes(h, n, out); }
int nvmlDeviceGetComputeRunningProcesses_v2(gpu_t h, unsigned *n, process_t *out) { return processes(h, n, out); }
static int none(gpu_t handle, unsigned *count) {
    double *row;
    *count = 0;
    return enter(handle, PROCESSES, 1, &row);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu_t h, unsigned *n, process_t *out) { (void)out; return none(h, n); }
int nvmlDeviceGetGraphicsRunningProcesses_v2(gpu_t h, unsigned *n, process_t *out) { (void)out; return none(h, n); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(gpu_t h, unsigned *n, process_t *out) { (void)out; return none(h, n); }
int nvmlDeviceGetProcessUtilization(gpu_t handle, process_use_t *out, unsigned *count, uint64_t since_us) {
    double *row;
    unsigned found = 0;
    int rc = enter(handle, PROCESS_UTILISATION, 0, &row);
    (void)since_us;
    if (rc) return rc;
    if (in_mig_mode(row)) return NOT_SUPPORTED;
    if (!out) { *count = 100; return SHORT; } /* the driver names the size of its buffer, not what is in it */
    for (int i = 0; i < MOST_PROCESSES; i++) {
        const double *one = row + PID0 + i * (PID1 - PID0);
        if (!(one[0] > 0) || !(one[2] > 0)) continue;
        out[found++] = (process_use_t){(unsigned)one[0], (uint64_t)now_us(CLOCK_REALTIME), (unsigned)one[2], 0, 0, 0};
    }
    *count = found;
    return found ? OK : NOT_FOUND;
}

/* MIG */
int nvmlDeviceGetMigMode(gpu_t handle, unsigned *now, unsigned *next) {
    double *row, value = 0;
    int rc = enter(handle, MIG, 0, &row);
    if (!rc) rc = get(row, MIG_MODE, &value);
    return rc ? rc : (*now = *next = (unsigned)value, OK);
}
int nvmlDeviceGetMaxMigDeviceCount(gpu_t handle, unsigned *count) {
    double *row;
    int rc = enter(handle, MIG, 0, &row);
    *count = rc || isnan(row[MIG_MODE]) ? 0 : MOST_INSTANCES;
    return rc;
}
int nvmlDeviceGetMigDeviceHandleByIndex(gpu_t handle, unsigned index, gpu_t *instance) {
    double *row;
    int rc = enter(handle, MIG, 0, &row);
    if (rc) return rc;
    if (!in_mig_mode(row) || index >= row[MIG_COUNT]) return NOT_FOUND;
    return *instance = handle | (index + 1), OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu_t instance, gpu_t *handle) {
    return instance & 255 ? (*handle = instance & ~(gpu_t)255, OK) : INVALID;
}
int nvmlDeviceIsMigDeviceHandle(gpu_t handle, unsigned *answer) { return *answer = (handle & 255) != 0, OK; }
int nvmlDeviceGetGpuInstanceId(gpu_t handle, unsigned *id) {
    return handle & 255 ? (*id = (unsigned)(handle & 255) - 1, OK) : NOT_SUPPORTED;
}
int nvmlDeviceGetComputeInstanceId(gpu_t handle, unsigned *id) { return handle & 255 ? (*id = 0, OK) : NOT_SUPPORTED; }

/* GPM: what two samples, at least 100 ms apart, say between them */
typedef struct { gpu_t device; int64_t time_us; double value[GPM_PCIE_RX_MIB - GPM_SM + 1]; } sample_t;
typedef struct { unsigned id; int rc; double value; const char *names[3]; } metric_t;
typedef struct { unsigned version, count; sample_t *first, *second; metric_t metrics[]; } metrics_t;
int nvmlGpmQueryDeviceSupport(gpu_t handle, unsigned out[2]) {
    double *row;
    int rc = enter(handle, GPM, 0, &row);
    if (out[0] != 1) return MISMATCH;
    return rc ? rc : (out[1] = row[GPM_SUPPORTED] == 1, OK);
}
int nvmlGpmSampleAlloc(sample_t **sample) { return (*sample = calloc(1, sizeof **sample)) ? OK : UNKNOWN; }
int nvmlGpmSampleFree(sample_t *sample) { free(sample); return OK; }
int nvmlGpmSampleGet(gpu_t handle, sample_t *sample) {
    double *row;
    int rc = enter(handle, GPM, 0, &row);
    if (rc || row[GPM_SUPPORTED] != 1) return rc ? rc : NOT_SUPPORTED;
    sample->device = handle;
    sample->time_us = now_us(CLOCK_MONOTONIC);
    memcpy(sample->value, row + GPM_SM, sizeof sample->value);
    return OK;
}
int nvmlGpmMetricsGet(metrics_t *get_these) {
    static const unsigned ids[] = {2, 3, 5, 10, 20, 21};
    if (!users) return UNINITIALISED;
    if (get_these->version != 1) return MISMATCH;
    if (get_these->first->device != get_these->second->device) return INVALID;
    if (get_these->second->time_us - get_these->first->time_us < 100000) tally(GPM_TOO_SOON, 0);
    tally(GPM, 0);
    for (unsigned i = 0; i < get_these->count; i++) {
        metric_t *metric = &get_these->metrics[i];
        metric->rc = NOT_SUPPORTED;
        for (unsigned k = 0; k < sizeof ids / sizeof *ids; k++)
            if (ids[k] == metric->id && !isnan(get_these->second->value[k]))
                metric->rc = OK, metric->value = get_these->second->value[k];
    }
    return OK;
}
