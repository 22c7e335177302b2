# Resight in a container: the service alone, without training. Everything it keeps lies in the volume /data.
#   docker build -t resight .
#   docker run --rm -p 127.0.0.1:8000:8000 -v resight:/data resight

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/resight
ENV PATH=/opt/resight/bin:$PATH
WORKDIR /build
COPY requirements-server.txt .
RUN pip install --no-deps --require-hashes -r requirements-server.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY models models
COPY migrations migrations
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/resight /opt/resight
RUN useradd --system --uid 10001 --create-home --home-dir /data resight
ENV PATH=/opt/resight/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RESIGHT_DATA=/data \
    RESIGHT_LOG_JSON=true
USER resight
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["resight"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
