# Two images, of the server and of the page, each with the models that come along:
#   docker build --target server -t ferox-server .
#   docker build --target page -t ferox-page .
# Both run as a user without rights, and the root may be read-only; what is written goes to /tmp:
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -e FEROX_TOKEN ferox-server
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:7860:7860 -e FEROX_AUTH ferox-page
FROM python:3.12-slim AS base
ENV HOME=/tmp FEROX_HOME=/tmp/ferox MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /ferox
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY data ./data
COPY training ./training
COPY export ./export
COPY inference ./inference
COPY demo ./demo
COPY ferox ./ferox
COPY artifacts/models ./artifacts/models
RUN useradd --no-create-home --uid 10001 ferox

FROM base AS page
RUN pip install --no-cache-dir -c constraints.txt -e '.[cpu,demo,video]'
USER 10001
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/config', timeout=5)"]
ENTRYPOINT ["python", "-m", "ferox", "demo", "--host", "0.0.0.0", "--port", "7860"]

FROM base AS server
RUN pip install --no-cache-dir -c constraints.txt -e '.[cpu,serve]'
USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=5)"]
ENTRYPOINT ["python", "-m", "ferox", "serve", "artifacts/models", "--host", "0.0.0.0", "--port", "8000"]
