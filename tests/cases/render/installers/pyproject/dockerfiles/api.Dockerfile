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
RUN python -m venv --without-pip /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
COPY pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/pip python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"].get("dependencies", []), sep="\n")' > /tmp/wanted.txt \
    && pip --python /opt/venv/bin/python install --requirement /tmp/wanted.txt

# It is a package itself.
FROM packages AS itself
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip pip --python /opt/venv/bin/python install --no-deps .

FROM ${PYTHON_IMAGE} AS run
WORKDIR /app
RUN useradd --uid 10001 --create-home app
ENV PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=itself /opt/venv /opt/venv
COPY . .
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ[\"PORT\"]), timeout=2); c.request('GET', '/health'); raise SystemExit(c.getresponse().status >= 400)"]
CMD ["python", "-m", "api"]
