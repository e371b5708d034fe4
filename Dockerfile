# The image of elasti: locked requirements, compiled bytecode, an unprivileged user.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/elasti
COPY requirements/build.txt requirements/run.txt requirements/
RUN /opt/elasti/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/build.txt
RUN /opt/elasti/bin/pip install --no-cache-dir --no-compile --require-hashes --no-build-isolation \
      -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY consumer consumer
RUN /opt/elasti/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
 && /opt/elasti/bin/pip uninstall --yes setuptools pip
# Without bytecode the Kubernetes client alone takes 5 s to import, at every start.
RUN python -m compileall -q -j 0 /opt/elasti/lib

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin elasti
COPY --from=build /opt/elasti /opt/elasti
ENV PATH=/opt/elasti/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8013
ENTRYPOINT ["elasti"]
CMD ["--help"]
