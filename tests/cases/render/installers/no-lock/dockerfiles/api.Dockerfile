# The image of `api`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/api.Dockerfile --tag shop-api .
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg NODE_IMAGE=...@sha256:...
ARG NODE_IMAGE=node:22-slim

FROM ${NODE_IMAGE} AS base
WORKDIR /app

# All packages: made again only when a manifest or the lock file has changed.
FROM base AS packages
COPY package.json ./
# Nothing pins the packages, so that another build may get others: `npm install` writes a lock file.
RUN --mount=type=cache,target=/root/.npm npm install

# The packages that it runs with, without those that only build and check it.
FROM base AS production
COPY package.json ./
# Nothing pins the packages, so that another build may get others: `npm install` writes a lock file.
RUN --mount=type=cache,target=/root/.npm npm install --omit=dev

FROM ${NODE_IMAGE} AS run
WORKDIR /app
# The first process of a container ends on SIGTERM only if it does something about it: tini passes it on.
# Debian keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production \
    PATH=/app/node_modules/.bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=production /app ./
COPY . .
USER 1000:1000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "require('http').get({host:'127.0.0.1',port:process.env.PORT,path:'/health',timeout:2000},r=>process.exit(r.statusCode<400?0:1)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"]
CMD ["tini", "--", "node", "a.js"]
