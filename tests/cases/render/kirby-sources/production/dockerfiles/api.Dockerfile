# The image of `api`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/api.Dockerfile --tag kirby-gen-api .
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
ENV NODE_ENV=production \
    PATH=/app/packages/api/node_modules/.bin:/app/node_modules/.bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=production /app ./
COPY --from=build /app ./
WORKDIR /app/packages/api
USER 1000:1000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "require('http').get({host:'127.0.0.1',port:process.env.PORT,path:'/api/health',timeout:2000},r=>process.exit(r.statusCode<400?0:1)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"]
CMD ["node", "dist/server.js"]
