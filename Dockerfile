# docker build -t recollect . && docker run --env-file .env -p 127.0.0.1:3000:3000 -v recollect:/data recollect
# compose.yaml runs it beside a PostgreSQL of its own.

FROM python:3.12-slim-bookworm AS build
COPY requirements.lock /
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r /requirements.lock

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin recollect \
    && install --directory --owner=recollect --group=recollect --mode=700 /data
COPY --from=build /venv /venv
COPY . /app
RUN python -m compileall -q /app/bot
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    RECOLLECT_HOME=/data \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=3000 \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /app
USER recollect
VOLUME /data
# 3000: health, Slack's events over HTTP, the API. 8080: the page of `bot demo --host 0.0.0.0`.
EXPOSE 3000 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"HTTP_PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "bot"]
CMD ["run"]
