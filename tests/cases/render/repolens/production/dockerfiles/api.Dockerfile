# The image of `api`, from the folder `api`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/api.Dockerfile --tag repolens-api api
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg NODE_IMAGE=...@sha256:...
ARG NODE_IMAGE=node:20-alpine

FROM ${NODE_IMAGE} AS base
WORKDIR /app

# All packages: made again only when a manifest or the lock file has changed.
FROM base AS packages
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --include=dev

# The code. What building it took stays behind.
FROM packages AS build
COPY . .
RUN npm run build \
    && find /app -name node_modules -prune -exec rm -rf {} +

# The packages that it runs with, without those that only build and check it.
FROM base AS production
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev

FROM ${NODE_IMAGE} AS run
WORKDIR /app
ENV NODE_ENV=production \
    PATH=/app/node_modules/.bin:$PATH \
    HOST=0.0.0.0 \
    PORT=3001
COPY --from=production /app ./
COPY --from=build /app ./
USER 1000:1000
EXPOSE 3001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "require('http').get({host:'127.0.0.1',port:process.env.PORT,path:'/api/health',timeout:2000},r=>process.exit(r.statusCode<400?0:1)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"]
CMD ["node", "dist/main.js"]
