# The tag names Python's minor version and the Debian release, so neither changes unasked; it moves on
# with Python's and Debian's security fixes, which `docker build --pull` brings in.
FROM python:3.13-slim-trixie AS builder

WORKDIR /build
RUN python -m venv --without-pip /venv

# The dependencies change seldom: they have a layer of their own, made from an empty package.
COPY setup.cfg pyproject.toml LICENSE ./
RUN mkdir service \
    && touch service/__init__.py \
    && pip --python /venv install --no-cache-dir "/build[mongo,otel]"

COPY service/ service/
RUN pip --python /venv install --no-cache-dir --no-deps --force-reinstall .


FROM python:3.13-slim-trixie

# Numbers, so that an orchestrator can see that it is not root.
RUN groupadd --system --gid 10001 service \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent service \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data

WORKDIR /app
COPY --from=builder /venv /venv
COPY config/ config/

# PYTHONDONTWRITEBYTECODE: pip has compiled it all, and the root file system may be read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    CONVERSATION_STORE=sqlite:////data/conversations.db

USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

# By Python itself: the image has no curl. http.client, as urllib would go through a proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.getenv('PORT') or 8000), timeout=3); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]

# The exec form makes Python PID 1, which gets the SIGTERM and drains.
# What follows the image's name goes to the service: docker run IMAGE --simulate
ENTRYPOINT ["python", "-m", "service"]
