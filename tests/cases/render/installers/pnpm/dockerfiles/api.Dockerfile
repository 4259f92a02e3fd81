# The image of `api`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/api.Dockerfile --tag shop-api .
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg NODE_IMAGE=...@sha256:...
ARG NODE_IMAGE=node:22-alpine

FROM ${NODE_IMAGE} AS base
WORKDIR /app
# Alpine keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3018
RUN apk add --no-cache openssl python3 make g++ \
    && npm install --global pnpm@9

# All packages: made again only when a manifest or the lock file has changed.
FROM base AS packages
COPY package.json pnpm-lock.yaml .npmrc ./
COPY apps/api/package.json apps/api/
COPY apps/web/package.json apps/web/
COPY libs/db/package.json libs/db/
# What the app's own package.json runs at an installation is for a developer's folder.
RUN --mount=type=cache,target=/root/.local/share/pnpm/store npm pkg delete scripts.prepare \
    && pnpm install --frozen-lockfile --prod=false

# The database client is made from the schema here, where the generator is.
FROM packages AS client
COPY libs/db/prisma /app/libs/db/prisma
WORKDIR /app/libs/db
RUN pnpm exec prisma generate --schema /app/libs/db/prisma/schema.prisma
WORKDIR /app

# The code. What building it took stays behind.
FROM client AS build
COPY . .
RUN pnpm --filter @s/db run build \
    && pnpm --filter @s/api run build \
    && find /app -name node_modules -prune -exec rm -rf {} +

# The packages that it runs with, without those that only build and check it.
FROM base AS production
COPY package.json pnpm-lock.yaml .npmrc ./
COPY apps/api/package.json apps/api/
COPY apps/web/package.json apps/web/
COPY libs/db/package.json libs/db/
# What the app's own package.json runs at an installation is for a developer's folder.
RUN --mount=type=cache,target=/root/.local/share/pnpm/store npm pkg delete scripts.prepare \
    && pnpm install --frozen-lockfile --prod --filter @s/api...
# The installer keeps it beside the package that it belongs to.
RUN --mount=type=bind,from=client,source=/app,target=/made \
    find /made -type d -path '*/node_modules/.prisma' -prune -exec sh -c 'to="/app${1#/made}" && mkdir -p "$to" && cp -R "$1/." "$to"' sh {} ';'

FROM ${NODE_IMAGE} AS run
WORKDIR /app
# The first process of a container ends on SIGTERM only if it does something about it: tini passes it on.
# Alpine keeps only the newest build of a package: one that is pinned cannot be had for long.
# hadolint ignore=DL3018
RUN apk add --no-cache openssl tini
ENV NODE_ENV=production \
    PATH=/app/apps/api/node_modules/.bin:/app/node_modules/.bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=production /app ./
COPY --from=build /app ./
WORKDIR /app/apps/api
USER 1000:1000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "require('http').get({host:'127.0.0.1',port:process.env.PORT,path:'/health',timeout:2000},r=>process.exit(r.statusCode<400?0:1)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"]
CMD ["tini", "--", "node", "dist/main.js"]
