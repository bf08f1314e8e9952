# The TensorFlow worker. VARIANT=cpu (default) or gpu; the GPU wheels carry their own CUDA libraries, so the
# base stays the same and a GPU host needs only NVIDIA's driver and container runtime. The other arguments
# are in deploy/README.md.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS lists
COPY deploy/images/pins-of /usr/local/bin/
COPY worker/constraints.txt worker/adapters/tensorflow_adapter/packages.txt ./
RUN pins-of packages.txt constraints.txt > /pins.txt

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY deploy/images/install-packages deploy/images/in-version /usr/local/bin/
WORKDIR /lists/adapters/tensorflow_adapter

# Only a change of these lists installs the framework anew. A list of wheels names an index of the
# framework's own and goes first, without dependencies. What only serves to build operations of one's own
# goes: the headers, and clang.
ARG VARIANT=cpu
COPY --from=lists /pins.txt /lists/
COPY worker/requirements.txt /lists/
COPY worker/adapters/tensorflow_adapter/*.txt ./
ARG VERSION=
RUN if [ -n "$VERSION" ]; then in-version tensorflow "$VERSION"; fi \
 && if [ -e wheels-$VARIANT.txt ]; then install-packages --no-deps -r wheels-$VARIANT.txt; fi \
 && install-packages -c /lists/pins.txt -r requirements-$VARIANT.txt \
 && cd /opt/likewise/lib/python3*/site-packages && rm -rf tensorflow/include clang libclang-*

# What the address of large arrays may begin with, such as s3,gs,abfs,http; metrics; and packages of one's own.
ARG STORES=s3
ARG PYTHON_PACKAGES=
COPY worker/stores.txt /lists/
RUN install-packages -c /lists/pins.txt -c /lists/stores.txt "fsspec[$STORES]" prometheus-client $PYTHON_PACKAGES

FROM ${PYTHON_IMAGE} AS code
WORKDIR /app/likewise
COPY likewise/__init__.py ./
COPY shared/ shared/
COPY worker/ worker/
RUN find worker/adapters -name '*_adapter' ! -name tensorflow_adapter -prune -exec rm -r {} +
# A checkout made under a strict umask is readable all the same, and under a loose one not writable.
RUN chmod -R u=rwX,go=rX /app

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
COPY deploy/images/prepare-base /tmp/
RUN /tmp/prepare-base && rm /tmp/prepare-base

# Debian packages to add.
ARG PACKAGES=
RUN if [ -n "$PACKAGES" ]; then apt-get update \
 && apt-get install -y --no-install-recommends $PACKAGES && rm -rf /var/lib/apt/lists/*; fi

COPY --from=packages /opt/likewise /opt/likewise
COPY --from=code /app /app

ARG VARIANT=cpu
ARG REVISION=
LABEL org.opencontainers.image.title="Likewise, TensorFlow worker" \
      org.opencontainers.image.description="Trains declared jobs in TensorFlow." \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=0.1.0 \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.base.name=$PYTHON_IMAGE
ENV PATH=/opt/likewise/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    LIKEWISE_FRAMEWORK=tensorflow \
    LIKEWISE_IMAGE=likewise-worker-tf:$VARIANT \
    LIKEWISE_CACHE_DIR=/var/cache/likewise \
    LIKEWISE_HEARTBEAT_FILE=/tmp/heartbeat
WORKDIR /app
USER likewise

# The worker touches the file while its child can train or is training.
HEALTHCHECK --interval=15s --timeout=10s --start-period=300s --retries=2 \
  CMD test -n "$(find /tmp/heartbeat -newermt '-15 seconds')"
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "likewise.worker"]
