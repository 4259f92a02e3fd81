# The image of `web`, from the folder `.`. In the project's folder:
#   docker build --file deploy/production/dockerfiles/web.Dockerfile --tag kirby-gen-web .
# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.
# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.
# To pin what it starts from: --build-arg CADDY_IMAGE=...@sha256:...
ARG NODE_IMAGE=node:20-alpine
ARG CADDY_IMAGE=caddy:2-alpine

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
ARG VITE_API_URL
COPY . .
RUN npm run build --workspace packages/web \
    && find /app -name node_modules -prune -exec rm -rf {} +

# The files alone: docker build --target files --output FOLDER
FROM scratch AS files
COPY --from=build /app/packages/web/dist /

FROM ${CADDY_IMAGE} AS run
ENV PORT=8080 XDG_CONFIG_HOME=/tmp/config XDG_DATA_HOME=/tmp/data
# Its right to low ports is of no use here, and where rights are dropped it would not start with it.
RUN setcap -r /usr/bin/caddy \
    && printf '%b\n' "{" "\\tadmin off" "\\tauto_https off" "}" ":{\$PORT}" "root * /srv" "encode" "try_files {path} /index.html" "file_server" > /etc/caddy/Caddyfile
COPY --from=files / /srv
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/bin/sh", "-c", "wget -q -O /dev/null \"http://127.0.0.1:$PORT/\""]
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]
