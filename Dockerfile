# One image for every process of the server: web, worker, notifier, control and beat differ in their command.
# docs/deployment.md explains how to build it. `deploy/image/build` builds it from packages on this machine.

# Any base with Python 3.11 and its venv module.
ARG BASE=python:3.11-slim-trixie

# Packages from a folder instead of an index: --build-context wheels=FOLDER puts that folder in the place of this stage.
FROM scratch AS wheels

FROM ${BASE} AS wanted
COPY pyproject.toml deploy/image/requirements.py /wanted/
RUN cd /wanted && python3 requirements.py oidc s3 > requirements.txt

FROM ${BASE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Further indexes. An address that holds a password goes into a configuration file of pip's: --secret id=pip,src=FILE
ARG PIP_EXTRA_INDEX_URL=
# 1: take nothing but what is in the folder of packages.
ARG PIP_NO_INDEX=
COPY deploy/image/tools.txt /tools.txt
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=pip \
    export PIP_CONFIG_FILE=/run/secrets/pip PIP_FIND_LINKS=/wheels \
    && python3 -m venv /tools && /tools/bin/pip install --quiet -r /tools.txt

FROM tools AS dependencies
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_NO_INDEX=
# cpu, or cuda: what build of PyTorch the image may have. The server needs no GPU.
ARG TORCH=cpu
COPY constraints.txt deploy/image/dependencies /build/
COPY --from=wanted /wanted/requirements.txt /build/
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=secret,id=pip \
    sh /build/dependencies /opt/dependencies

FROM tools AS code
WORKDIR /source
COPY . .
RUN /tools/bin/pip install --quiet --no-deps --no-index --no-build-isolation --no-compile --target /opt/fl-server . \
    && sed -i '1s|.*|#!/opt/dependencies/bin/python3|' /opt/fl-server/bin/fl-server \
    && python3 -m compileall -qq --invalidation-mode unchecked-hash /opt/fl-server

FROM dependencies AS sbom
COPY --from=code /opt/fl-server /opt/fl-server
RUN /tools/bin/cyclonedx-py environment --output-reproducible --spec-version 1.6 /opt/dependencies/bin/python3 > /sbom.json

FROM ${BASE}
ENV PATH=/opt/fl-server/bin:/opt/dependencies/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=fl_server.settings.production \
    HOME=/tmp \
    FL_DATA_DIR=/data
# pg_dump and psql, for backups of PostgreSQL. They must not be older than its server.
RUN command -v pg_dump >/dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*)
# With a name, because Celery takes a group without one for root's.
RUN echo 'fl-server:x:10001:' >> /etc/group \
    && echo 'fl-server:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=dependencies /opt/dependencies /opt/dependencies
COPY --from=sbom /sbom.json /opt/sbom.json
COPY --from=code /opt/fl-server /opt/fl-server

ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="fl-server" \
      org.opencontainers.image.description="A federated-learning server: Django REST API, Celery workers, uncertainty-aware inference." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# A number, so that Kubernetes can see that it isn't root.
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8000
# Of the web process; the others have checks of their own in docker-compose.yml and deploy/kubernetes/.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=6 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=5)"]
CMD ["fl-server", "serve", "--host", "0.0.0.0", "--port", "8000"]
