# The image of `worker`, from the folder `worker`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/worker.Dockerfile --tag repolens-worker worker
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg PYTHON_IMAGE=...@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS base
WORKDIR /app

# Packages: made again only when a file that pins them has changed.
FROM base AS packages
RUN python -m venv --without-pip /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv/bin/python install --requirement requirements.txt

FROM ${PYTHON_IMAGE} AS run
WORKDIR /app
RUN useradd --uid 10001 --create-home app
ENV PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH
COPY --from=packages /opt/venv /opt/venv
COPY . .
USER 10001:10001
# It takes no requests, so there is nothing to ask it: it is well while it runs.
HEALTHCHECK NONE
CMD ["python", "-m", "worker"]
