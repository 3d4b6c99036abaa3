"""Measured figures: one schema, written by the runner into its report and by the operator into status."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattmark.api.schema import (
    AS_SET,
    Bytes,
    Count,
    Joules,
    Model,
    PerSecond,
    Ratio,
    Seconds,
    ShortText,
    Watts,
    map_list,
)


class Distribution(Model):
    """Order statistics of one duration over the measured iterations; percentiles by nearest rank."""

    p50: Seconds = Field(description="Median, in seconds, by nearest rank.")
    p90: Seconds | None = Field(None, description="90th percentile, in seconds; left out below 10 samples.")
    p99: Seconds | None = Field(None, description="99th percentile, in seconds; left out below 100 samples.")
    mean: Seconds = Field(description="Arithmetic mean, in seconds.")
    count: Count = Field(description="Number of samples behind these figures.")


class Throughput(Model):
    """Useful work per second of the measured window, over all devices."""

    samples_per_second: PerSecond = Field(
        description="Samples (texts, images) finished per second: samples per iteration times iterations, over the "
        "window. Iterations run one after another; the device is waited for between them."
    )
    input_tokens_per_second: PerSecond | None = Field(
        None, description="Prompt or training tokens processed per second of the window; for models that read text."
    )
    output_tokens_per_second: PerSecond | None = Field(
        None,
        description="Tokens generated per second of the window, prefill time included; only where tokens are "
        "generated.",
    )


class Memory(Model):
    """Peak memory over the measured window and its warm-up, each by its own definition."""

    allocated_peak_bytes: Bytes | None = Field(
        None, description="Most bytes in live tensors of PyTorch's caching allocator on one device, at once."
    )
    reserved_peak_bytes: Bytes | None = Field(
        None, description="Most bytes that PyTorch's caching allocator held from one device, in use or cached, at once."
    )
    process_peak_bytes: Bytes | None = Field(
        None, description="Most bytes of one device that belonged to this process (allocator, CUDA context, libraries)."
    )
    device_peak_bytes: Bytes | None = Field(
        None, description="Most bytes of one device in use by anybody, driver included: what must fit."
    )
    host_peak_bytes: Bytes | None = Field(
        None,
        description="Most bytes of host memory that were resident for the runner's process, imports and load included.",
    )


class Energy(Model):
    """Energy of the run's GPUs over the measured window, from NVML's energy counter."""

    gpu_joules: Joules | None = Field(
        None,
        description="Joules drawn by all GPUs of the run in the measured window, idle power included: from an update "
        "of the counter at the window's begin to the first one after its end.",
    )
    mean_watts: Watts | None = Field(
        None, description="gpuJoules over the time between the two updates of the counter, in watts."
    )
    joules_per_sample: Joules | None = Field(None, description="gpuJoules per finished sample.")
    joules_per_output_token: Joules | None = Field(
        None, description="gpuJoules per generated token; only where tokens are generated."
    )


class DeviceFigures(Model):
    """One device's own share."""

    index: Annotated[int, Field(ge=0, le=1023)] = Field(description="Index of the device within the run, from 0.")
    uuid: Annotated[str, Field(max_length=48)] | None = Field(None, description="The GPU's or MIG instance's UUID.")
    allocated_peak_bytes: Bytes | None = Field(
        None, description="As memory.allocatedPeakBytes, of this device, in bytes."
    )
    reserved_peak_bytes: Bytes | None = Field(
        None, description="As memory.reservedPeakBytes, of this device, in bytes."
    )
    process_peak_bytes: Bytes | None = Field(None, description="As memory.processPeakBytes, of this device, in bytes.")
    device_peak_bytes: Bytes | None = Field(None, description="As memory.devicePeakBytes, of this device, in bytes.")
    gpu_joules: Joules | None = Field(None, description="As energy.gpuJoules, of this device.")


class Results(Model):
    """What the run really did, over its measured window."""

    throughput: Throughput = Field(description="Work per second of the measured window.")
    latency_seconds: Distribution = Field(
        description="Wall-clock time of one iteration, the device idle at both edges: a batch's forward pass, its "
        "whole generation, or one training step. The batch lies on the device already."
    )
    time_to_first_token_seconds: Distribution | None = Field(
        None, description="From the start of a batch to its first generated token: prefill and one sampling step."
    )
    time_per_output_token_seconds: Distribution | None = Field(
        None,
        description="Per batch: (last token's time - first token's time) / (generated tokens - 1), the mean gap "
        "between tokens.",
    )
    memory: Memory = Field(description="Peak memory, by definition.")
    energy: Energy = Field(
        description="Energy of the GPUs; empty and named in unavailable where no counter could be read."
    )
    devices: Annotated[list[DeviceFigures], Field(max_length=8), map_list("index")] = Field(
        description="Each device's own figures; empty on CPU."
    )
    parameter_count: Count = Field(description="Parameters of the model as loaded, tied weights counted once.")
    model_load_seconds: Seconds = Field(
        description="Seconds from the start of loading (or random initialisation) to weights on the device."
    )
    window_seconds: Seconds = Field(description="Length of the measured window, in seconds.")
    iterations: Count = Field(description="Iterations in the measured window.")
    warmup_iterations: Count = Field(
        description="Iterations before the window, as many as latency took to become steady; excluded from every "
        "figure but the peaks."
    )


class UnavailableReason(StrEnum):
    """Why a figure is not there."""

    NO_GPU = "NoGpu"
    NO_ENERGY_COUNTER = "NoEnergyCounter"
    NO_NVML = "NoNvml"
    NOT_VISIBLE = "NotVisible"
    TOO_FEW_SAMPLES = "TooFewSamples"
    WINDOW_TOO_SHORT = "WindowTooShort"
    NOT_PREDICTED = "NotPredicted"
    NOT_TRACED = "NotTraced"
    NOT_CHECKED = "NotChecked"


class Unavailable(Model):
    """A figure that is not known, and why. Never 0 in its place."""

    field: Annotated[str, Field(max_length=64)] = Field(description="Path of the missing figure below results.")
    reason: UnavailableReason = Field(description="Why it is missing, as one word.")
    message: Annotated[str, Field(max_length=160)] = Field(description="Why it is missing, and what would bring it.")


class ClockEvent(StrEnum):
    """What lowered a GPU's clocks, in the driver's terms."""

    HW_POWER_BRAKE = "HwPowerBrake"
    HW_SLOWDOWN = "HwSlowdown"
    HW_THERMAL = "HwThermal"
    SW_POWER_CAP = "SwPowerCap"
    SW_THERMAL = "SwThermal"


class Steadiness(Model):
    """Whether machine and model were at rest: the basis of condition MeasurementValid."""

    drift_ratio: Ratio = Field(
        description="Difference of the median latency between the window's second and first half, over the median; "
        "at most 1."
    )
    variation_ratio: Ratio = Field(description="Inter-quartile range of the latency over its median; at most 1.")
    warmup_steady: bool | None = Field(
        None,
        description="Whether latency had no trend when the warm-up ended; absent where the warm-up held too few "
        "iterations to tell.",
    )
    clock_events: Annotated[list[ClockEvent], Field(max_length=5), AS_SET] | None = Field(
        None,
        description="What lowered the GPUs' clocks, read once a second and at both edges of the window: SwPowerCap "
        "(the power limit), SwThermal or HwThermal (heat), HwPowerBrake (the power supply), HwSlowdown (the hardware, "
        "whatever the cause). Empty if nothing did; absent where the driver does not tell.",
    )
    other_processes: Annotated[int, Field(ge=0, le=100000)] | None = Field(
        None,
        description="Processes other than the run's that computed on a GPU of the run, at most, before the window and "
        "after it; absent where the driver does not tell.",
    )


class Environment(Model):
    """Where and with what the figures were taken: filled by runner and operator, never typed by a user."""

    device: ShortText = Field(description="cpu or cuda.")
    gpu_product: ShortText | None = Field(
        None, description="The GPU's name as CUDA gives it; the node label has hyphens for its spaces."
    )
    driver_version: Annotated[str, Field(max_length=32)] | None = Field(None, description="GPU driver version.")
    cuda_version: Annotated[str, Field(max_length=16)] | None = Field(
        None, description="CUDA version that PyTorch was built for, where it ran on CUDA."
    )
    compute_capability: Annotated[str, Field(max_length=8)] | None = Field(
        None, description="CUDA compute capability, major.minor."
    )
    power_limit_watts: Watts | None = Field(None, description="Enforced power limit of one GPU, in watts.")
    sm_clock_megahertz: Annotated[int, Field(ge=0, le=100000)] | None = Field(
        None, description="SM clock in megahertz: median of one reading a second, while the GPU works."
    )
    cpu_model: ShortText | None = Field(None, description="CPU model name of the node.")
    cpu_threads: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None, description="Threads that PyTorch used on the CPU."
    )
    torch_version: Annotated[str, Field(max_length=32)] = Field(description="PyTorch version.")
    transformers_version: Annotated[str, Field(max_length=32)] = Field(description="transformers version.")
    model_class: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="transformers class that was run."
    )
    attention: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Attention implementation that really ran, in transformers' words."
    )
    model_revision: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Commit of the hub repository that was loaded."
    )
    head_tensors_initialized: Annotated[int, Field(ge=0, le=1000000)] | None = Field(
        None,
        description="Tensors of the model's head that the checkpoint does not hold and that have random values; absent "
        "with random weights. A checkpoint that lacks a tensor of the layers is not run.",
    )
    checkpoint_tensors_unused: Annotated[int, Field(ge=0, le=1000000)] | None = Field(
        None,
        description="Tensors of the checkpoint for which the class that was run has no place; absent with random "
        "weights.",
    )
    node: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="Node of the run; filled by the operator."
    )
    image_id: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Runner image by digest, as the kubelet reported it; filled by the operator."
    )
