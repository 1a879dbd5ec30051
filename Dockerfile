# syntax=docker/dockerfile:1
# The node and the command line in a container.
#   docker build --target cpu -t cooper_perception .
#   docker build --target cuda --build-arg CUDA_COMPUTE_CAP=89 -t cooper_perception:cuda .   (89: the GPU's own number)
# The build steps are the scripts that the gate, scripts/test, runs. This file was never built where it was written: there
# is no container engine. The hosted workflow builds the CPU stage; nobody has built or run the CUDA stage.

ARG ROS_IMAGE=ros:jazzy-ros-base
ARG CUDA_IMAGE=nvidia/cuda:13.0.2
FROM ${CUDA_IMAGE}-devel-ubuntu24.04 AS cuda-toolkit
FROM ${CUDA_IMAGE}-runtime-ubuntu24.04 AS cuda-libraries

# --- What a build needs; also the development container --------------------------------------------------------------
FROM ${ROS_IMAGE} AS tools
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PATH=/root/.cargo/bin:$PATH
# What scripts/setup would install, so that it is a layer of its own, and what the tests use.
RUN apt-get update && apt-get install -y --no-install-recommends \
      build-essential ca-certificates cmake curl git iproute2 libclang-dev ninja-build pkg-config \
      python3-numpy python3-pil python3-pytest python3-venv ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
      | sh -s -- -y --profile minimal --component clippy --component rustfmt
WORKDIR /cooper_perception

# --- CPU -------------------------------------------------------------------------------------------------------------
FROM tools AS build-cpu
COPY . .
RUN --mount=type=cache,target=/root/.cargo/registry scripts/setup && rm -rf target build

FROM ${ROS_IMAGE} AS cpu
RUN apt-get update && apt-get install -y --no-install-recommends python3-numpy python3-pil ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /cooper_perception
COPY scripts/env.sh scripts/env.sh
COPY config/fastdds.xml config/fastdds_subnet.xml config/
COPY --from=build-cpu /cooper_perception/install install
# Other hosts and containers are discovered; shared memory needs `--ipc host`, or --shm-size=512m within one container.
ENV ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET \
    FASTRTPS_DEFAULT_PROFILES_FILE=/cooper_perception/config/fastdds_subnet.xml \
    PATH=/cooper_perception/install/lib/cooper_perception:$PATH
ENTRYPOINT ["/bin/bash", "-c", ". /cooper_perception/scripts/env.sh && exec \"$@\"", "--"]
CMD ["ros2", "launch", "cooper_perception", "cooper.launch.py"]

# --- CUDA ------------------------------------------------------------------------------------------------------------
FROM tools AS build-cuda
# Kernels for another capability than the GPU's own are no use: name it.
ARG CUDA_COMPUTE_CAP
RUN [[ -n "${CUDA_COMPUTE_CAP:-}" ]] || { echo "name the GPU's compute capability: --build-arg CUDA_COMPUTE_CAP=NN" >&2; exit 1; }
COPY --from=cuda-toolkit /usr/local/cuda-13.0 /usr/local/cuda
ENV PATH=/usr/local/cuda/bin:$PATH CUDA_PATH=/usr/local/cuda CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP}
COPY . .
# scripts/setup for the interfaces; the build itself as in scripts/check_cuda.
RUN --mount=type=cache,target=/root/.cargo/registry \
    scripts/setup --no-build && . scripts/env.sh \
    && cargo build --release --locked --features ros,cuda \
    && install -D -t install/lib/cooper_perception target/release/cooper_node target/release/cooper \
    && rm -rf target build

FROM cpu AS cuda
COPY --from=cuda-libraries /usr/local/cuda-13.0 /usr/local/cuda
COPY --from=build-cuda /cooper_perception/install install
ENV LD_LIBRARY_PATH=/usr/local/cuda/lib64 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
