# The image of all three programs: both daemons of the DaemonSet (one container each) and the command line.
# Built on Debian 12 with the packages of packages.txt: stage `build` compiles, stage `run` is what is left.
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS build
COPY packages.txt /src/
RUN apt-get update && \
    awk '$1 == "build" { print $2 }' /src/packages.txt | \
      DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends && \
    rm -rf /var/lib/apt/lists/*
COPY . /src/
WORKDIR /src
RUN cmake --preset release && \
    cmake --build --preset release && \
    strip --strip-unneeded build/release/bin/weighhouse-cached build/release/bin/weighhouse-csi \
      build/release/bin/weighhouse

FROM ${DEBIAN}
COPY packages.txt /tmp/
RUN apt-get update && \
    awk '$1 == "run" { print $2 }' /tmp/packages.txt | \
      DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends && \
    rm -rf /var/lib/apt/lists/* /tmp/packages.txt
COPY --from=build /src/build/release/bin/weighhouse-cached /src/build/release/bin/weighhouse-csi \
  /src/build/release/bin/weighhouse /usr/bin/
# The init container copies the profile to where kubelet looks for it.
COPY deploy/daemonset/seccomp/weighhouse-cached.json /usr/share/weighhouse/seccomp/
COPY LICENSE /usr/share/doc/weighhouse/copyright
LABEL org.opencontainers.image.title="Weighhouse" \
      org.opencontainers.image.description="A node-local cache of LLM weights for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# The cache daemon's own user, which owns the cache. weighhouse-csi mounts, so its container says runAsUser: 0.
USER 64100:64100
CMD ["/usr/bin/weighhouse-cached"]
