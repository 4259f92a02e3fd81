# The image of `worker`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/worker.Dockerfile --tag kirby-gen-worker .
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg NODE_IMAGE=...@sha256:...
ARG NODE_IMAGE=node:20-alpine

FROM ${NODE_IMAGE} AS base
WORKDIR /app

# All packages: made again only when a manifest or the lock file has changed.
FROM base AS packages
COPY package.json package-lock.json ./
COPY packages/api/package.json packages/api/
COPY packages/shared/package.json packages/shared/
COPY packages/web/package.json packages/web/
# What the app's own package.json runs at an installation is for a developer's folder.
RUN --mount=type=cache,target=/root/.npm npm pkg delete scripts.prepare \
    && npm ci --include=dev

# The code. What building it took stays behind.
FROM packages AS build
COPY . .
RUN npm run build --workspace packages/shared \
    && npm run build --workspace packages/api \
    && find /app -name node_modules -prune -exec rm -rf {} +

# The packages that it runs with, without those that only build and check it.
FROM base AS production
COPY package.json package-lock.json ./
COPY packages/api/package.json packages/api/
COPY packages/shared/package.json packages/shared/
COPY packages/web/package.json packages/web/
# What the app's own package.json runs at an installation is for a developer's folder.
RUN --mount=type=cache,target=/root/.npm npm pkg delete scripts.prepare \
    && npm ci --omit=dev --workspace=@kirby/api --include-workspace-root

FROM ${NODE_IMAGE} AS run
WORKDIR /app
# The first process of a container ends on SIGTERM only if it does something about it: tini passes it on.
# Alpine keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3018
RUN apk add --no-cache tini
ENV NODE_ENV=production \
    PATH=/app/packages/api/node_modules/.bin:/app/node_modules/.bin:$PATH
COPY --from=production /app ./
COPY --from=build /app ./
WORKDIR /app/packages/api
USER 1000:1000
# It takes no requests, so there is nothing to ask it: it is well while it runs.
HEALTHCHECK NONE
CMD ["tini", "--", "node", "dist/worker.js"]
