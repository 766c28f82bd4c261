# One image for every process of the server: web, worker, notifier and beat differ in their command.
FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --wheel-dir /wheels .

FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DJANGO_SETTINGS_MODULE=fl_server.settings.production \
    FL_DATA_DIR=/data

# pg_dump and psql, for backups of PostgreSQL. They must not be older than its server.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*

# An index with a CPU build of PyTorch makes the image several gigabytes smaller:
# docker build --build-arg PIP_EXTRA_INDEX_URL=<address of that index> .
ARG PIP_EXTRA_INDEX_URL=

WORKDIR /dependencies

# Without the packages beside it this installs the dependencies alone: a layer that changes in the code leave in place.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install -c constraints.txt '.[oidc,s3]'

COPY --from=build /wheels /wheels
RUN pip install --no-deps --force-reinstall /wheels/*.whl

RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin fl \
    && install --directory --owner fl --group fl --mode 0700 /data
USER fl
WORKDIR /
VOLUME /data
EXPOSE 8000

CMD ["fl-server", "serve", "--host", "0.0.0.0", "--port", "8000"]
