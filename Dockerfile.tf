# The TensorFlow worker. VARIANT=cpu (default) or gpu; the GPU wheels carry their own CUDA libraries, so the
# base stays the same and a GPU host needs only NVIDIA's driver and container runtime.
FROM python:3.11-slim-bookworm
ARG VARIANT=cpu

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin likewise \
 && install -d -o likewise -g likewise /var/cache/likewise \
 && install -d -o likewise -g likewise -m 2775 /var/lib/likewise
WORKDIR /app

# The framework before the code: only a change of the lists installs it anew. A list of wheels names
# an index of the framework's own and goes first, without dependencies.
COPY worker/constraints.txt worker/requirements.txt likewise/worker/
COPY worker/adapters/tensorflow_adapter/*.txt likewise/worker/adapters/tensorflow_adapter/
RUN cd likewise/worker/adapters/tensorflow_adapter \
 && if [ -e wheels-$VARIANT.txt ]; then pip install --no-deps -r wheels-$VARIANT.txt; fi \
 && pip install -c ../../constraints.txt -r requirements-$VARIANT.txt

COPY likewise/__init__.py likewise/
COPY shared/ likewise/shared/
COPY worker/*.py likewise/worker/
COPY worker/service/ likewise/worker/service/
COPY worker/training/ likewise/worker/training/
COPY worker/adapters/*.py likewise/worker/adapters/
COPY worker/adapters/tensorflow_adapter/ likewise/worker/adapters/tensorflow_adapter/
# A checkout made under a strict umask is readable all the same, and under a loose one not writable.
RUN chmod -R u=rwX,go=rX /app

ENV LIKEWISE_FRAMEWORK=tensorflow \
    LIKEWISE_IMAGE=likewise-worker-tf:$VARIANT \
    LIKEWISE_CACHE_DIR=/var/cache/likewise \
    LIKEWISE_HEARTBEAT_FILE=/tmp/heartbeat
USER likewise

# The worker touches the file while it is announced in Redis and answerable.
HEALTHCHECK --interval=3s --timeout=5s --start-period=90s --retries=5 \
  CMD test -n "$(find /tmp/heartbeat -newermt '-15 seconds')"
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "likewise.worker"]
