/* A management library to ask, with no GPU behind it: NVML's calls, answered from a memory-mapped file of float64 that
   a test writes while the program under test runs. Signatures, layouts and codes as in NVIDIA's nvml.h.

   The file ($FAKE_NVML_STATE, opened by the first nvmlInit) has rows of FIELDS numbers: switches of the driver, calls
   counted per group (as uint64), microseconds that a call of a group takes, then one row per GPU. In a GPU's row NaN
   makes a value's calls NOT_SUPPORTED and -n makes them return the code n. driver.py reads the names of the enums. */
#define _GNU_SOURCE
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
             PCIE_RUNS_GENERATION, PCIE_RUNS_WIDTH, NVLINK_VERSION, SWITCHED, C2C,
             NVLINK_TX_KIB, NVLINK_RX_KIB, LINKS, ECC_CORRECTED, ECC_UNCORRECTED, REMAPPED_CORRECTED,
             REMAPPED_UNCORRECTED, REMAP_PENDING, REMAP_FAILURE, THROTTLE, XID, GPM_SUPPORTED, GPM_SM, GPM_OCCUPANCY,
             GPM_TENSOR, GPM_DRAM, GPM_PCIE_TX_MIB, GPM_PCIE_RX_MIB, MIG_MODE, MIG_COUNT, USE_US,
             MIG0_TOTAL, MIG0_USED, MIG1_TOTAL, MIG1_USED, MIG2_TOTAL, MIG2_USED, MIG3_TOTAL, MIG3_USED,
             MIG4_TOTAL, MIG4_USED, MIG5_TOTAL, MIG5_USED, MIG6_TOTAL, MIG6_USED,
             PID0, PID0_MEMORY, PID0_SM, PID0_INSTANCE, PID1, PID1_MEMORY, PID1_SM, PID1_INSTANCE,
             PID2, PID2_MEMORY, PID2_SM, PID2_INSTANCE, PID3, PID3_MEMORY, PID3_SM, PID3_INSTANCE, FIELDS };
enum { DRIVER_ROW, CALLS_ROW, LATENCY_ROW, FIRST_GPU, MOST_PROCESSES = 4, MOST_INSTANCES = 7, MOST_GPUS = 16384 };
enum { OK = 0, UNINITIALISED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, SHORT = 7, NOT_LOADED = 9,
       TIMEOUT = 10, MISMATCH = 25, UNKNOWN = 999 };
_Static_assert((int)CALLS <= (int)FIELDS, "a row holds a number per group of calls");

typedef uintptr_t gpu_t;   /* (index + 1) << 16 | generation << 8 | MIG instance + 1, or 0 for the whole GPU */
typedef double row_t[FIELDS];
static row_t *state;       /* never unmapped: a sampler's thread may still be reading when the test ends */
static volatile int users;
static int gpus;

static int64_t now_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}
static void tally(enum call call, double us) {
    __atomic_fetch_add((uint64_t *)&state[CALLS_ROW][call], 1, __ATOMIC_RELAXED);
    us += state[LATENCY_ROW][call];
    if (us > 0) nanosleep(&(struct timespec){(time_t)(us / 1e6), (long)fmod(us * 1e3, 1e9)}, NULL);
}
static int get(const double *row, int field, double *out) {
    *out = row[field];
    return isnan(*out) ? NOT_SUPPORTED : *out < 0 ? (int)-*out : OK;
}
/* Begin a call on a GPU or, where the real driver allows it, on a MIG instance. */
static int enter(gpu_t gpu, enum call call, int instances_too, double **row) {
    if (!users) return UNINITIALISED;
    if (gpu >> 16 == 0 || gpu >> 16 > (gpu_t)gpus) return INVALID;
    *row = state[FIRST_GPU + (gpu >> 16) - 1];
    tally(call, (*row)[CALL_US]);
    if (((gpu >> 8) & 255) != ((unsigned)(*row)[GENERATION] & 255)) return INVALID; /* of before the reset */
    if ((*row)[RC]) return (int)(*row)[RC];
    if ((gpu & 255) && ((*row)[MIG_MODE] != 1 || (gpu & 255) > (*row)[MIG_COUNT])) return INVALID; /* dissolved */
    return (gpu & 255) && !instances_too ? NOT_SUPPORTED : OK;
}
#define ENTER(call, instances_too) double *row, value = 0; \
                                   int rc = enter(gpu, call, instances_too, &row); \
                                   if (rc || value) return rc
#define GET(field, out) do { if ((rc = get(row, field, &value))) return rc; *(out) = (typeof(*(out)))value; } while (0)
#define TEXT(out, size, ...) (snprintf(out, size, __VA_ARGS__) < (int)(size) ? OK : SHORT)
static double *row_of(gpu_t gpu) { return state[FIRST_GPU + (gpu >> 16) - 1]; }
static int in_mig_mode(const double *row) { return row[MIG_MODE] == 1; }

/* The library and the system */
int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("FAKE_NVML_STATE");
    struct stat facts;
    if (!path || !*path || flags > 3) return NOT_LOADED;
    if (users) return users++, OK;
    int file = open(path, O_RDWR);
    if (file < 0 || fstat(file, &facts)) return NOT_LOADED;
    row_t *rows = mmap(NULL, facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (rows == MAP_FAILED) return NOT_LOADED;
    state = rows, gpus = (int)state[DRIVER_ROW][GPUS];
    if (gpus > MOST_GPUS || (size_t)facts.st_size < (FIRST_GPU + (size_t)gpus) * sizeof(row_t)) return UNKNOWN;
    tally(INIT, 0);
    return state[DRIVER_ROW][INIT_RC] ? (int)state[DRIVER_ROW][INIT_RC] : (users++, OK);
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return users ? (users--, OK) : UNINITIALISED; }
const char *nvmlErrorString(int code) {
    static const char *texts[] = {"Success", "Uninitialized", "Invalid Argument", "Not Supported",
                                  "Insufficient Permissions", [NOT_LOADED] = "Driver Not Loaded", [15] = "GPU is lost",
                                  [18] = "Driver/library version mismatch"};
    return code < 19 && texts[code] ? texts[code] : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    return users ? TEXT(text, size, "%.2f.01", state[DRIVER_ROW][DRIVER_VERSION]) : UNINITIALISED;
}
int nvmlSystemGetNVMLVersion(char *text, unsigned size) { return TEXT(text, size, "13.580.65.06"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    return users ? (*version = (int)state[DRIVER_ROW][CUDA_VERSION], OK) : UNINITIALISED;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }
int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned size) { return TEXT(name, size, "process-%u", pid); }

/* Which GPU */
int nvmlDeviceGetCount_v2(unsigned *count) {
    return users ? (*count = (unsigned)gpus, (int)state[DRIVER_ROW][COUNT_RC]) : UNINITIALISED;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t *gpu) {
    if (!users) return UNINITIALISED;
    if (index >= (unsigned)gpus) return INVALID;
    const double *row = state[FIRST_GPU + index];
    tally(HANDLE, row[CALL_US]);
    *gpu = (gpu_t)(index + 1) << 16 | ((unsigned)row[GENERATION] & 255) << 8;
    return (int)row[RC];
}
int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t *gpu) {
    unsigned index, instance = 0;
    if (sscanf(uuid, "GPU-%x", &index) != 1 && sscanf(uuid, "MIG-%x-%x", &index, &instance) != 2) return NOT_FOUND;
    int rc = nvmlDeviceGetHandleByIndex_v2(index, gpu);
    if (!rc && uuid[0] == 'M') *gpu |= instance + 1;
    return rc == INVALID ? NOT_FOUND : rc;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, gpu_t *gpu) {
    unsigned domain, bus;
    return sscanf(id, "%x:%x:", &domain, &bus) == 2 ? nvmlDeviceGetHandleByIndex_v2(domain << 8 | bus, gpu) : INVALID;
}
int nvmlDeviceGetIndex(gpu_t gpu, unsigned *index) {
    ENTER(IDENTITY, 1);
    return *index = (unsigned)(gpu & 255 ? gpu & 255 : gpu >> 16) - 1, OK;
}
int nvmlDeviceGetMinorNumber(gpu_t gpu, unsigned *minor) { return nvmlDeviceGetIndex(gpu, minor); }
int nvmlDeviceGetName(gpu_t gpu, char *text, unsigned size) {
    ENTER(IDENTITY, 1);
    return TEXT(text, size, "%s%s", row[UNIFIED] == 1 ? "NVIDIA GB10" : "NVIDIA H100 80GB HBM3",
                gpu & 255 ? " MIG 1g.10gb" : "");
}
int nvmlDeviceGetUUID(gpu_t gpu, char *text, unsigned size) {
    ENTER(IDENTITY, 1);
    int index = (int)(gpu >> 16) - 1, instance = (int)(gpu & 255) - 1;
    return instance < 0 ? TEXT(text, size, "GPU-%08x-0000-0000-0000-0000fa4e0000", index)
                        : TEXT(text, size, "MIG-%08x-%04x-0000-0000-0000fa4e0000", index, instance);
}
int nvmlDeviceGetSerial(gpu_t gpu, char *text, unsigned size) { return TEXT(text, size, "%013d", (int)(gpu >> 16)); }
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char text[32]; } pci_t;
int nvmlDeviceGetPciInfo_v3(gpu_t gpu, pci_t *pci) {
    ENTER(IDENTITY, 0);
    unsigned index = (unsigned)(gpu >> 16) - 1;
    *pci = (pci_t){.domain = index >> 8, .bus = index & 255, .id = 0x233010de, .subsystem = 0x16c110de};
    return TEXT(pci->legacy, 16, "%04X:%02X:00.0", pci->domain & 0xffff, pci->bus)
         | TEXT(pci->text, 32, "%08X:%02X:00.0", pci->domain, pci->bus);
}
int nvmlDeviceGetCpuAffinity(gpu_t gpu, unsigned size, unsigned long *set) {
    ENTER(IDENTITY, 1);
    return memset(set, 0xff, size * sizeof *set), OK;
}

/* Readings that are one number each, or one of two by an argument between */
#define NUMBER(symbol, call, field, type) \
    int symbol(gpu_t gpu, type *out) { ENTER(call, 0); GET(field, out); return OK; }
#define NUMBERS(symbol, call, test, one, other) \
    int symbol(gpu_t gpu, int which, unsigned *out) { ENTER(call, 0); GET(which test ? one : other, out); return OK; }
#define CONSTANT(symbol, number) int symbol(gpu_t gpu, unsigned *out) { ENTER(SETTINGS, 0); return *out = number, OK; }
NUMBER(nvmlDeviceGetPowerUsage, POWER, POWER_MW, unsigned)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, POWER_LIMIT, LIMIT_MW, unsigned)
NUMBER(nvmlDeviceGetPowerManagementLimit, POWER_LIMIT, LIMIT_MW, unsigned)
NUMBER(nvmlDeviceGetTotalEnergyConsumption, ENERGY, ENERGY_MJ, uint64_t)
NUMBER(nvmlDeviceGetFanSpeed, FANS, FAN, unsigned)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, PCIE_LINK, PCIE_GENERATION, unsigned)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, PCIE_LINK, PCIE_WIDTH, unsigned)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, REASONS, THROTTLE, uint64_t)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, REASONS, THROTTLE, uint64_t)
/* How the link runs: as wide and fast as it could, unless the row says otherwise */
#define RUNNING(symbol, field, most) int symbol(gpu_t gpu, unsigned *out) { \
    ENTER(PCIE_LINK, 0); GET(row[field] > 0 ? field : most, out); return OK; }
RUNNING(nvmlDeviceGetCurrPcieLinkGeneration, PCIE_RUNS_GENERATION, PCIE_GENERATION)
RUNNING(nvmlDeviceGetCurrPcieLinkWidth, PCIE_RUNS_WIDTH, PCIE_WIDTH)
NUMBERS(nvmlDeviceGetClockInfo, CLOCK, == 2, MEMORY_MHZ, SM_MHZ)
NUMBERS(nvmlDeviceGetMaxClockInfo, MAX_CLOCK, == 2, MEMORY_MAX_MHZ, SM_MAX_MHZ)
NUMBERS(nvmlDeviceGetPcieThroughput, PCIE_THROUGHPUT, == 0, PCIE_TX_KBS, PCIE_RX_KBS)
NUMBERS(nvmlDeviceGetTemperature, TEMPERATURES, == 0, TEMPERATURE, TEMPERATURE)
CONSTANT(nvmlDeviceGetPerformanceState, 0)
CONSTANT(nvmlDeviceGetPersistenceMode, 1)
CONSTANT(nvmlDeviceGetComputeMode, 0)
CONSTANT(nvmlDeviceGetDisplayActive, 0)
CONSTANT(nvmlDeviceGetDisplayMode, 0)
CONSTANT(nvmlDeviceGetArchitecture, 9)
CONSTANT(nvmlDeviceGetBrand, 2)
typedef struct { unsigned version; int sensor, celsius; } temperature_t;
int nvmlDeviceGetTemperatureV(gpu_t gpu, temperature_t *out) {
    return nvmlDeviceGetTemperature(gpu, out->sensor, (unsigned *)&out->celsius);
}
int nvmlDeviceGetTemperatureThreshold(gpu_t gpu, int which, unsigned *celsius) {
    ENTER(SETTINGS, 0);
    return *celsius = which == 0 ? 92 : which == 1 ? 89 : 87, which > 3 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetCudaComputeCapability(gpu_t gpu, int *major, int *minor) {
    ENTER(SETTINGS, 1);
    return *major = 9, *minor = 0, OK;
}
int nvmlDeviceGetDriverModel_v2(void) { return NOT_SUPPORTED; } /* Windows only */
int nvmlDeviceGetDriverModel(void) { return NOT_SUPPORTED; }

/* Utilisation and memory: on a GPU in MIG mode the driver measures no utilisation, on MIG instances neither */
int nvmlDeviceGetUtilizationRates(gpu_t gpu, unsigned out[2]) {
    ENTER(UTILISATION, 0);
    if (in_mig_mode(row)) return NOT_SUPPORTED;
    GET(BUSY, &out[0]);
    GET(MEMORY_BUSY, &out[1]);
    return OK;
}
#define CODEC(symbol) int symbol(gpu_t gpu, unsigned *busy, unsigned *us) { \
    ENTER(UTILISATION, 0); return in_mig_mode(row) ? NOT_SUPPORTED : (*busy = 0, *us = 167000, OK); }
CODEC(nvmlDeviceGetEncoderUtilization)
CODEC(nvmlDeviceGetDecoderUtilization)
typedef struct { uint64_t total, free, used; } memory_t;
typedef struct { unsigned version; uint64_t total, reserved, free, used; } memory_v2_t;
int nvmlDeviceGetMemoryInfo_v2(gpu_t gpu, memory_v2_t *out) {
    ENTER(MEMORY, 1);
    int instance = (int)(gpu & 255) - 1;
    if (out->version != 0x02000028) return MISMATCH;
    if (row[UNIFIED] == 1) return NOT_SUPPORTED;
    GET(instance < 0 ? MEMORY_TOTAL : MIG0_TOTAL + 2 * instance, &out->total);
    GET(instance < 0 ? MEMORY_USED : MIG0_USED + 2 * instance, &out->used);
    GET(MEMORY_RESERVED, &out->reserved);
    if (instance >= 0) out->reserved = 0;
    return out->free = out->total - out->reserved - out->used, OK;
}
int nvmlDeviceGetMemoryInfo(gpu_t gpu, memory_t *out) { /* the first version counts what is reserved as used */
    memory_v2_t two = {.version = 0x02000028};
    int rc = nvmlDeviceGetMemoryInfo_v2(gpu, &two);
    return rc ? rc : (*out = (memory_t){two.total, two.free, two.used + two.reserved}, OK);
}
int nvmlDeviceGetBAR1MemoryInfo(gpu_t gpu, memory_t *out) {
    ENTER(MEMORY, 0);
    return *out = (memory_t){1ull << 37, (1ull << 37) - (1 << 20), 1 << 20}, OK;
}

/* Field values */
typedef struct { unsigned id, scope; int64_t time_us, latency_us; int type, rc; uint64_t value; } field_value_t;
static const struct { unsigned id; int field, wide, call; } KNOWN[] = {
    {3, ECC_CORRECTED, 1, FIELD_OTHER}, {4, ECC_UNCORRECTED, 1, FIELD_OTHER}, {82, MEMORY_TEMPERATURE, 0, FIELD_OTHER},
    {83, ENERGY_MJ, 1, FIELD_ENERGY}, {91, LINKS, 0, FIELD_OTHER}, {138, NVLINK_TX_KIB, 1, FIELD_NVLINK},
    {139, NVLINK_RX_KIB, 1, FIELD_NVLINK}, {142, REMAPPED_CORRECTED, 0, FIELD_OTHER},
    {143, REMAPPED_UNCORRECTED, 0, FIELD_OTHER}, {144, REMAP_PENDING, 0, FIELD_OTHER},
    {145, REMAP_FAILURE, 0, FIELD_OTHER}, {185, POWER_MW, 0, FIELD_OTHER}, {186, POWER_MW, 0, FIELD_OTHER},
    {190, LIMIT_MW, 0, FIELD_OTHER}, {197, PCIE_TX, 1, FIELD_PCIE}, {198, PCIE_RX, 1, FIELD_PCIE}};
static int read_field(const double *row, field_value_t *out) {
    double value = 0;
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (KNOWN[i].id != out->id) continue;
        int wide = KNOWN[i].wide && !(KNOWN[i].call == FIELD_PCIE && row[PCIE_BITS] == 32);
        tally(KNOWN[i].call, 0);
        int rc = get(row, KNOWN[i].field, &value);
        if (KNOWN[i].call == FIELD_NVLINK && !(row[LINKS] > 0)) rc = NOT_SUPPORTED;
        else if (KNOWN[i].call == FIELD_NVLINK && out->scope != UINT32_MAX)
            rc = out->scope < row[LINKS] ? rc : INVALID, value /= row[LINKS];
        out->type = wide ? 3 : 1; /* unsigned long long, unsigned int */
        /* of a union only what the type covers is written */
        return out->value = wide ? (uint64_t)value : ((uint64_t)value & UINT32_MAX) | 0xdeadbeefull << 32, rc;
    }
    return NOT_SUPPORTED;
}
int nvmlDeviceGetFieldValues(gpu_t gpu, int count, field_value_t *values) {
    ENTER(FIELD_VALUES, 0);
    for (int i = 0; i < count; i++) {
        int64_t begun = now_us(CLOCK_MONOTONIC);
        values[i].rc = read_field(row, &values[i]);
        values[i].time_us = now_us(CLOCK_REALTIME);
        values[i].latency_us = now_us(CLOCK_MONOTONIC) - begun;
    }
    return OK;
}
int nvmlDeviceGetNvLinkState(gpu_t gpu, unsigned link, unsigned *active) {
    ENTER(NVLINK, 0);
    GET(LINKS, active);
    return link < *active ? (*active = 1, OK) : INVALID;
}
int nvmlDeviceGetNvLinkVersion(gpu_t gpu, unsigned link, unsigned *version) {
    int rc = nvmlDeviceGetNvLinkState(gpu, link, version);
    return *version = row_of(gpu)[NVLINK_VERSION] > 0 ? (unsigned)row_of(gpu)[NVLINK_VERSION] : 4, rc;
}
/* The other ends: a switch (2) that all GPUs hang on, or the next GPUs (0), a link to each in turn */
int nvmlDeviceGetNvLinkRemoteDeviceType(gpu_t gpu, unsigned link, int *type) {
    unsigned active;
    int rc = nvmlDeviceGetNvLinkState(gpu, link, &active);
    return *type = row_of(gpu)[SWITCHED] == 1 ? 2 : 0, rc;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu_t gpu, unsigned link, pci_t *pci) {
    unsigned active, index = (unsigned)(gpu >> 16) - 1;
    int rc = nvmlDeviceGetNvLinkState(gpu, link, &active);
    if (rc) return rc;
    if (row_of(gpu)[SWITCHED] == 1) return *pci = (pci_t){.domain = 0, .bus = 0xc0}, OK;
    index = (index + 1 + link % (unsigned)(gpus - 1)) % (unsigned)gpus;
    return *pci = (pci_t){.domain = index >> 8, .bus = index & 255}, OK;
}
int nvmlDeviceGetP2PStatus(gpu_t gpu, gpu_t other, int what, int *status) {
    ENTER(NVLINK, 0);
    if (gpu == other) return INVALID;
    *status = what == 2 && row[LINKS] > 0 && row_of(other)[LINKS] > 0 ? 0 : 5; /* of NVLink: there, or not supported */
    return OK;
}
typedef struct { unsigned enabled; } c2c_t;
int nvmlDeviceGetC2cModeInfoV(gpu_t gpu, c2c_t *mode) {
    ENTER(SETTINGS, 0);
    return *mode = (c2c_t){row[C2C] == 1}, row[C2C] == 1 ? OK : NOT_SUPPORTED;
}

/* Health */
int nvmlDeviceGetTotalEccErrors(gpu_t gpu, int type, int counter, uint64_t *count) {
    ENTER(ECC, 0);
    GET(type == 0 ? ECC_CORRECTED : ECC_UNCORRECTED, count);
    return counter > 1 ? INVALID : OK;
}
int nvmlDeviceGetMemoryErrorCounter(gpu_t gpu, int type, int counter, int location, uint64_t *count) {
    return location < 0 ? INVALID : nvmlDeviceGetTotalEccErrors(gpu, type, counter, count);
}
int nvmlDeviceGetEccMode(gpu_t gpu, unsigned *now, unsigned *next) {
    ENTER(ECC, 0);
    GET(ECC_CORRECTED, now);
    return *now = *next = 1, OK;
}
int nvmlDeviceGetRemappedRows(gpu_t gpu, unsigned *cor, unsigned *unc, unsigned *pending, unsigned *failed) {
    ENTER(REMAPPED_ROWS, 0);
    GET(REMAPPED_CORRECTED, cor);
    GET(REMAPPED_UNCORRECTED, unc);
    GET(REMAP_PENDING, pending);
    GET(REMAP_FAILURE, failed);
    return OK;
}
typedef struct { gpu_t gpu[MOST_GPUS]; double seen[MOST_GPUS]; } event_set_t;
typedef struct { gpu_t gpu; uint64_t type, data; unsigned gpu_instance, compute_instance; } event_t;
int nvmlEventSetCreate(event_set_t **set) { return users ? (*set = calloc(1, sizeof **set), OK) : UNINITIALISED; }
int nvmlEventSetFree(event_set_t *set) { return free(set), OK; }
int nvmlDeviceGetSupportedEventTypes(gpu_t gpu, uint64_t *types) {
    ENTER(EVENTS, 0);
    GET(XID, types);
    return *types = 8, OK; /* nvmlEventTypeXidCriticalError */
}
int nvmlDeviceRegisterEvents(gpu_t gpu, uint64_t types, event_set_t *set) {
    ENTER(EVENTS, 0);
    if (isnan(row[XID]) || (types & ~8ull)) return NOT_SUPPORTED;
    return set->gpu[(gpu >> 16) - 1] = gpu, set->seen[(gpu >> 16) - 1] = row[XID], OK;
}
int nvmlEventSetWait_v2(event_set_t *set, event_t *event, unsigned timeout_ms) {
    if (!users) return UNINITIALISED;
    tally(EVENTS, 0);
    for (int64_t end = now_us(CLOCK_MONOTONIC) + timeout_ms * 1000ll;; usleep(2000)) {
        for (int i = 0; i < gpus; i++) {
            double xid = state[FIRST_GPU + i][XID];
            int stale = ((set->gpu[i] >> 8) & 255) != ((unsigned)state[FIRST_GPU + i][GENERATION] & 255);
            if (!set->gpu[i] || stale || isnan(xid) || xid == set->seen[i]) continue;
            set->seen[i] = xid;
            return *event = (event_t){set->gpu[i], 8, (uint64_t)xid, UINT32_MAX, UINT32_MAX}, OK;
        }
        if (now_us(CLOCK_MONOTONIC) >= end) return TIMEOUT;
    }
}

/* Processes */
typedef struct { unsigned pid; uint64_t memory; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned pid; uint64_t time_us; unsigned sm, memory, encoder, decoder; } process_use_t;
static int processes(gpu_t gpu, unsigned *count, process_t *out) {
    ENTER(PROCESSES, 1);
    unsigned found = 0, room = *count, pid, nowhere = in_mig_mode(row) ? 0 : UINT32_MAX;
    for (int i = 0; i < MOST_PROCESSES; i++) {
        const double *one = row + PID0 + i * (PID1 - PID0);
        GET(PID0 + i * (PID1 - PID0), &pid);
        if (!pid || ((gpu & 255) && one[3] != (gpu & 255) - 1)) continue;
        uint64_t used = isnan(one[1]) ? UINT64_MAX : (uint64_t)one[1];
        if (out && found < room) out[found] = (process_t){pid, used, nowhere ? nowhere : (unsigned)one[3], nowhere};
        found++;
    }
    return *count = found, found > room ? SHORT : OK;
}
#define COMPUTE(symbol) int symbol(gpu_t gpu, unsigned *count, process_t *out) { return processes(gpu, count, out); }
#define NONE(symbol) int symbol(gpu_t gpu, unsigned *count) { ENTER(PROCESSES, 1); return *count = 0, OK; }
COMPUTE(nvmlDeviceGetComputeRunningProcesses_v3)
COMPUTE(nvmlDeviceGetComputeRunningProcesses_v2)
NONE(nvmlDeviceGetGraphicsRunningProcesses_v3)
NONE(nvmlDeviceGetGraphicsRunningProcesses_v2)
NONE(nvmlDeviceGetMPSComputeRunningProcesses_v3)
int nvmlDeviceGetProcessUtilization(gpu_t gpu, process_use_t *out, unsigned *count, uint64_t since_us) {
    ENTER(PROCESS_UTILISATION, 0);
    if (in_mig_mode(row)) return NOT_SUPPORTED;
    if (!out) return *count = 100, SHORT; /* the driver names the size of its buffer, not what is in it */
    uint64_t now = row[USE_US] > 0 ? (uint64_t)row[USE_US] : (uint64_t)now_us(CLOCK_REALTIME); /* of the samples */
    *count = 0;
    for (const double *one = row + PID0; one < row + FIELDS && now > since_us; one += PID1 - PID0)
        if (one[0] > 0 && one[2] > 0)
            out[(*count)++] = (process_use_t){(unsigned)one[0], now, (unsigned)one[2], 0, 0, 0};
    return *count ? OK : NOT_FOUND;
}

/* MIG */
int nvmlDeviceGetMigMode(gpu_t gpu, unsigned *now, unsigned *next) {
    ENTER(MIG, 0);
    GET(MIG_MODE, now);
    return *next = *now, OK;
}
int nvmlDeviceGetMaxMigDeviceCount(gpu_t gpu, unsigned *count) {
    ENTER(MIG, 0);
    return *count = isnan(row[MIG_MODE]) ? 0 : MOST_INSTANCES, OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(gpu_t gpu, unsigned index, gpu_t *instance) {
    ENTER(MIG, 0);
    return in_mig_mode(row) && index < row[MIG_COUNT] ? (*instance = gpu | (index + 1), OK) : NOT_FOUND;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu_t instance, gpu_t *gpu) {
    return instance & 255 ? (*gpu = instance & ~(gpu_t)255, OK) : INVALID;
}
int nvmlDeviceIsMigDeviceHandle(gpu_t gpu, unsigned *answer) { return *answer = (gpu & 255) != 0, OK; }
int nvmlDeviceGetGpuInstanceId(gpu_t gpu, unsigned *id) {
    return gpu & 255 ? (*id = (unsigned)(gpu & 255) - 1, OK) : NOT_SUPPORTED;
}
int nvmlDeviceGetComputeInstanceId(gpu_t gpu, unsigned *id) { return gpu & 255 ? (*id = 0, OK) : NOT_SUPPORTED; }

/* GPM: what two samples, at least 100 ms apart, say between them */
typedef struct { gpu_t gpu; int64_t time_us; double value[GPM_PCIE_RX_MIB - GPM_SM + 1]; } sample_t;
typedef struct { unsigned id; int rc; double value; const char *names[3]; } metric_t;
typedef struct { unsigned version, count; sample_t *first, *second; metric_t metrics[]; } metrics_t;
int nvmlGpmQueryDeviceSupport(gpu_t gpu, unsigned out[2]) {
    ENTER(GPM, 0);
    return out[0] == 1 ? (out[1] = row[GPM_SUPPORTED] == 1, OK) : MISMATCH;
}
int nvmlGpmSampleAlloc(sample_t **sample) { return *sample = calloc(1, sizeof **sample), OK; }
int nvmlGpmSampleFree(sample_t *sample) { return free(sample), OK; }
int nvmlGpmSampleGet(gpu_t gpu, sample_t *sample) {
    ENTER(GPM, 0);
    if (row[GPM_SUPPORTED] != 1) return NOT_SUPPORTED;
    *sample = (sample_t){.gpu = gpu, .time_us = now_us(CLOCK_MONOTONIC)};
    return memcpy(sample->value, row + GPM_SM, sizeof sample->value), OK;
}
int nvmlGpmMigSampleGet(gpu_t gpu, unsigned instance, sample_t *sample) {
    int rc = nvmlGpmSampleGet(gpu, sample);
    return sample->gpu = gpu | (instance + 1), rc;
}
int nvmlGpmMetricsGet(metrics_t *get_these) {
    static const unsigned ids[] = {2, 3, 5, 10, 20, 21}; /* as the fields from GPM_SM on */
    const sample_t *first = get_these->first, *second = get_these->second;
    if (!users || get_these->version != 1 || first->gpu != second->gpu) return users ? INVALID : UNINITIALISED;
    if (second->time_us - first->time_us < 100000) tally(GPM_TOO_SOON, 0);
    for (metric_t *one = get_these->metrics; one < get_these->metrics + get_these->count; one++) {
        one->rc = NOT_SUPPORTED;
        for (unsigned k = 0; k < sizeof ids / sizeof *ids; k++)
            if (ids[k] == one->id) one->rc = get(second->value, (int)k, &one->value);
    }
    return OK;
}
