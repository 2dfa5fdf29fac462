# A server that answers over HTTP, see docs/serve.md. It needs nothing but the wheel:
#   pip wheel --no-deps --wheel-dir dist .
#   docker build -t cmsa .
#   docker run -p 8000:8000 -e CMSA_TOKEN cmsa pose
FROM python:3.11-slim

# PyTorch for CPUs; with CUDA it is several times as large. For a GPU: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 10001 cmsa
COPY dist/cmsa-*.whl /wheel/
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision
RUN pip install --no-cache-dir "$(ls /wheel/cmsa-*.whl)[serve]"

USER cmsa
WORKDIR /home/cmsa
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["cmsa", "serve", "--host", "0.0.0.0"]
CMD ["pose"]
