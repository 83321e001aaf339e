"""What exporters call the readings of GPUs and hosts: dcgm-exporter, nvitop-exporter, Triton, node_exporter.

A table gives each name our metric and the factor to our unit; a name that stands earlier in a table wins. The plant's
own exporter uses dcgm-exporter's and node_exporter's names, so that one table serves both ways. Nothing here reads
anything.

>>> DCGM.columns["DCGM_FI_DEV_FB_USED"]
Column(metric='memory_used', scale=1048576.0, instance=True)
"""

from collections.abc import Mapping
from dataclasses import dataclass

MIB = float(1 << 20)


@dataclass(frozen=True)
class Column:
    """Where a number goes.

    Attributes
    ----------
    metric
        Ours, or the part of a sum (`SUMS`).
    scale
        What to multiply with to get our unit.
    instance
        Whether a MIG instance has it for itself. dcgm-exporter repeats the whole GPU's power, temperature and clocks
        for every instance (NVIDIA/dcgm-exporter issues 50, 257 and 317): they are the GPU's, and counted once.
    """

    metric: str
    scale: float = 1.0
    instance: bool = False


@dataclass(frozen=True)
class Exporter:
    """One exporter's names.

    Attributes
    ----------
    source
        Where they come from.
    node, index, uid, name, instance, profile
        The labels that say which machine, which GPU, its UUID, its model, its MIG instance and that one's profile;
        the first that is there counts.
    """

    source: str
    columns: Mapping[str, Column]
    node: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    uid: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    instance: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()


# Parts of one metric that an exporter tells apart → the metric. DCGM: total = used + free + reserved.
SUMS = {
    "memory_total": ("memory_used", "memory_free", "memory_reserved"),
    "remapped_rows": ("remapped_corrected", "remapped_uncorrected"),
}

DCGM = Exporter(
    # FB in MiB, energy in mJ, PROF ratios 0 to 1, PROF bytes per second, from the GPU's side.
    source="NVIDIA/dcgm-exporter, etc/default-counters.csv, etc/dcp-metrics-included.csv; NVIDIA/DCGM, dcgm_fields.h",
    node=("Hostname", "hostname"),
    index=("gpu",),
    uid=("UUID",),
    name=("modelName",),
    instance=("GPU_I_ID",),
    profile=("GPU_I_PROFILE",),
    columns={
        "DCGM_FI_DEV_GPU_UTIL": Column("busy"),
        # MIG instances have no GPU_UTIL; NVIDIA points to this ratio instead (dcgm-exporter issue 50).
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": Column("busy", 100.0, instance=True),
        "DCGM_FI_DEV_MEM_COPY_UTIL": Column("memory_busy"),
        "DCGM_FI_DEV_FB_USED": Column("memory_used", MIB, instance=True),
        "DCGM_FI_DEV_FB_TOTAL": Column("memory_total", MIB, instance=True),
        "DCGM_FI_DEV_FB_FREE": Column("memory_free", MIB, instance=True),
        "DCGM_FI_DEV_FB_RESERVED": Column("memory_reserved", MIB, instance=True),
        "DCGM_FI_DEV_GPU_TEMP": Column("temperature"),
        "DCGM_FI_DEV_MEMORY_TEMP": Column("memory_temperature"),
        "DCGM_FI_DEV_POWER_USAGE": Column("power"),
        "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": Column("power_limit"),
        "DCGM_FI_DEV_POWER_MGMT_LIMIT": Column("power_limit"),
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": Column("energy", 1e-3),
        "DCGM_FI_DEV_SM_CLOCK": Column("sm_clock"),
        "DCGM_FI_DEV_MAX_SM_CLOCK": Column("sm_clock_max"),
        "DCGM_FI_DEV_MEM_CLOCK": Column("memory_clock"),
        "DCGM_FI_PROF_PCIE_RX_BYTES": Column("pcie_rx", instance=True),
        "DCGM_FI_PROF_PCIE_TX_BYTES": Column("pcie_tx", instance=True),
        "DCGM_FI_PROF_NVLINK_RX_BYTES": Column("nvlink_rx", instance=True),
        "DCGM_FI_PROF_NVLINK_TX_BYTES": Column("nvlink_tx", instance=True),
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": Column("ecc_corrected"),
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL": Column("ecc_corrected"),
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": Column("ecc_uncorrected"),
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": Column("ecc_uncorrected"),
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": Column("remapped_corrected"),
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": Column("remapped_uncorrected"),
        "DCGM_FI_DEV_XID_ERRORS": Column("xid"),
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": Column("throttle"),
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": Column("throttle"),  # its name before DCGM 4
        "DCGM_FI_PROF_SM_ACTIVE": Column("sm_active", 100.0, instance=True),
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": Column("tensor_active", 100.0, instance=True),
        "DCGM_FI_PROF_DRAM_ACTIVE": Column("dram_active", 100.0, instance=True),
    },
)

NVITOP = Exporter(
    source="nvitop-exporter 1.7.2, nvitop_exporter/exporter.py (prometheus_client appends the unit to the name)",
    node=("hostname",),
    index=("index",),  # "1", or "1:0" for a MIG instance
    uid=("uuid",),
    name=("devicename",),
    columns={
        "gpu_utilization_Percentage": Column("busy", instance=True),
        "gpu_memory_utilization_Percentage": Column("memory_busy", instance=True),
        "gpu_memory_used_MiB": Column("memory_used", MIB, instance=True),
        "gpu_memory_total_MiB": Column("memory_total", MIB, instance=True),
        "gpu_temperature_C": Column("temperature"),
        "gpu_power_usage_W": Column("power"),
        "gpu_power_limit_W": Column("power_limit"),
        "gpu_clock_sm_MHz": Column("sm_clock"),
        "gpu_clock_memory_MHz": Column("memory_clock"),
        "gpu_pcie_rx_throughput_MiBps": Column("pcie_rx", MIB),
        "gpu_pcie_tx_throughput_MiBps": Column("pcie_tx", MIB),
        "gpu_nvlink_total_rx_throughput_MiBps": Column("nvlink_rx", MIB),
        "gpu_nvlink_total_tx_throughput_MiBps": Column("nvlink_tx", MIB),
    },
)

TRITON_GPU = Exporter(
    source="Triton Inference Server, docs/user_guide/metrics.md, GPU metrics",
    index=("gpu_uuid",),
    uid=("gpu_uuid",),
    columns={
        "nv_gpu_utilization": Column("busy", 100.0),
        "nv_gpu_memory_used_bytes": Column("memory_used"),
        "nv_gpu_memory_total_bytes": Column("memory_total"),
        "nv_gpu_power_usage": Column("power"),
        "nv_gpu_power_limit": Column("power_limit"),
        "nv_energy_consumption": Column("energy"),
    },
)

GPU_EXPORTERS = (DCGM, NVITOP, TRITON_GPU)

# Of nvitop-exporter's host only what cannot be counted twice: its disks come with their partitions, its network
# with bridges, and nothing in the labels tells them apart.
NVITOP_HOST = Exporter(
    source=NVITOP.source,
    node=("hostname",),
    columns={
        "host_cpu_percent_Percentage": Column("busy"),
        "host_virtual_memory_used_MiB": Column("memory_used", MIB),
        "host_virtual_memory_total_MiB": Column("memory_total", MIB),
        "host_load_average_1m_Percentage": Column("load"),
    },
)

NODE = Exporter(
    source="prometheus/node_exporter, collector/meminfo_linux.go and collector/loadavg.go",
    node=("Hostname", "hostname"),
    columns={
        "node_memory_MemTotal_bytes": Column("memory_total"),
        "node_memory_MemAvailable_bytes": Column("memory_available"),
        "node_load1": Column("load"),
    },
)

HOST_EXPORTERS = (NODE, NVITOP_HOST)


def known() -> dict[str, str]:
    """Return every name an endpoint may use → the name in the tables."""
    names = [name for exporter in (*GPU_EXPORTERS, *HOST_EXPORTERS) for name in exporter.columns]
    return {name + end: name for name in names for end in ("", "_total")}
