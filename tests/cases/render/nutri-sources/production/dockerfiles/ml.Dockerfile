# The image of `ml`, from the folder `ml-service`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/ml.Dockerfile --tag nutri-ml ml-service
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg PYTHON_IMAGE=...@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS base
WORKDIR /app

# Packages: made again only when a file that pins them has changed.
FROM base AS packages
# Debian keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libpq-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
COPY requirements.txt requirements.base.txt ./
# The index has torch for processors alone; the usual one brings gigabytes for graphics cards.
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv/bin/python install --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.txt

# The weights: loaded here once, so that no start waits for them or needs the internet.
FROM packages AS weights
ENV HF_HOME=/opt/weights/huggingface \
    TORCH_HOME=/opt/weights/torch
ARG MODEL_NAME=sentence-transformers/all-MiniLM-L6-v2
RUN python -c 'import os, sentence_transformers; sentence_transformers.SentenceTransformer(os.environ["MODEL_NAME"])'

FROM ${PYTHON_IMAGE} AS run
WORKDIR /app
# Debian keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home app
RUN mkdir -p /data/uploads && chown 10001:10001 /data/uploads
ENV PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    HF_HOME=/opt/weights/huggingface \
    TORCH_HOME=/opt/weights/torch \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    HOST=0.0.0.0 \
    PORT=8000
COPY --from=weights /opt/weights /opt/weights
COPY --from=packages /opt/venv /opt/venv
COPY . .
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ[\"PORT\"]), timeout=2); c.request('GET', '/health'); raise SystemExit(c.getresponse().status >= 400)"]
CMD ["/bin/sh", "-c", "exec uvicorn app:app --host 0.0.0.0 --port $PORT"]
