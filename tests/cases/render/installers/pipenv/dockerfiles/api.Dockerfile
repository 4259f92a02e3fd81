# The image of `api`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/api.Dockerfile --tag shop-api .
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
    && apt-get install --yes --no-install-recommends default-libmysqlclient-dev gcc libc6-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip pip install 'pipenv>=2024,<2027'
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
COPY Pipfile Pipfile.lock ./
RUN --mount=type=cache,target=/root/.cache PIPENV_VERBOSITY=-1 pipenv sync

FROM ${PYTHON_IMAGE} AS run
WORKDIR /app
# The first process of a container ends on SIGTERM only if it does something about it: tini passes it on.
# Debian keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmariadb3 tini \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home app
ENV PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=packages /opt/venv /opt/venv
COPY . .
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ[\"PORT\"]), timeout=2); c.request('GET', '/health'); raise SystemExit(c.getresponse().status >= 400)"]
CMD ["tini", "--", "python", "main.py"]
