"""The process that answers: load, answer once, then open the port."""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import socket
import sys
from dataclasses import replace

import uvicorn

from tidemill.base.errors import TidemillError, UsageError
from tidemill.serve.access import log_lines
from tidemill.serve.announced import AnnouncedServer
from tidemill.serve.capture import Capture, open_capture
from tidemill.serve.cors import Cors, read_origins
from tidemill.serve.engine import Engine, load_engine
from tidemill.serve.hosted import Application, HostedApplication
from tidemill.serve.kept import LATER, check_digest
from tidemill.serve.loading import load_application
from tidemill.serve.masking import check_names
from tidemill.serve.protocol import GatheringProtocol, PatientProtocol
from tidemill.serve.said import log_prints
from tidemill.serve.scoring import ScoringScript
from tidemill.serve.script import load_scoring_script
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import LOOPBACK_NAMES, ServerSettings
from tidemill.serve.sockets import allow_many, listen, written
from tidemill.serve.tls import Certificate
from tidemill.serve.trace_settings import TraceSettings, read_settings
from tidemill.serve.tracing import TracedApplication, Tracer
from tidemill.serve.workers import drain_s

LOG = logging.getLogger("tidemill.serve")
KEEP_ALIVE_S = 75  # longer than proxies keep idle connections, so that they hang up and not we, under a request


def build(options: argparse.Namespace) -> InferenceServer | HostedApplication | TracedApplication:
    """The application the options ask for; errors as those of `load_engine`, `load_scoring_script` and `load_application`."""
    asked = read_settings(os.environ, options.name or "tidemill")
    application = _build(options, traced=asked is not None)
    options.metrics = application.metrics
    if options.counts is not None:
        application.metrics.share(options.counts)
    return application if asked is None else _traced(application, asked, options)


def _traced(
    application: InferenceServer | HostedApplication, asked: TraceSettings, options: argparse.Namespace
) -> TracedApplication:
    try:
        tracer = Tracer(asked, application.metrics.registry)
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"The collector's certificate cannot be used: {exc}",
            hint="OTEL_EXPORTER_OTLP_CERTIFICATE takes a PEM file.",
        ) from exc
    LOG.info("traces go to %s", tracer.exporter.place)
    about = {
        "tidemill.model.name": options.name or (options.model.name if options.model else ""),
        "tidemill.model.version": options.version,
        "tidemill.deployment": options.deployment,
    }
    return TracedApplication(application, tracer, about, application.paths)


def _build(options: argparse.Namespace, *, traced: bool) -> InferenceServer | HostedApplication:
    if options.app:
        hosted = load_application(options.app, options.app_dir.absolute())
        return HostedApplication(hosted, _about(options), _settings(options))
    # before any code of the model's is loaded, which is not to see what lets into the store
    capture = _capture(options)
    engine: Engine | None = None
    script: ScoringScript | None = None
    if options.code is not None:
        if options.model is not None and options.model_digest:
            check_digest(options.model, options.model_digest)
        log_prints()
        if options.code.is_dir():
            os.chdir(options.code)  # as on Azure, where scripts read the files beside them by relative names
        script = load_scoring_script(
            options.code, options.script, options.model, name=options.name, version=options.version
        )
    elif options.model is None:
        raise UsageError("Nothing to serve", hint="Give --model, --code or --app.")
    else:
        engine = load_engine(
            options.model,
            name=options.name,
            version=options.version,
            deployment=options.deployment,
            allow_pickle=options.allow_pickle,
            expected_digest=options.model_digest,
            soon=options.soon,
            kept=options.converted,
        )
        options.faster_later = engine.slow_reason == LATER
        for difference in engine.differences:
            LOG.warning("differs from training: %s", difference)
    if capture is not None and engine is not None:
        check_names(capture.rules.masked, [c.name for c in engine.signature.columns])
    return InferenceServer(engine, script, replace(_settings(options), traced=traced), capture)


def _settings(options: argparse.Namespace) -> ServerSettings:
    guard = options.host in LOOPBACK_NAMES
    return ServerSettings(
        options.max_body,
        options.max_queue,
        options.timeout,
        options.token_file,
        guard,
        access_log=options.access_log,
        end_when_hung=options.end_when_hung,
        deployment=options.deployment,
    )


def _about(options: argparse.Namespace) -> dict[str, str]:
    """The model mounted beside an application of the user's own."""
    said = {"deployment": options.deployment} if options.deployment else {}
    if options.model is None:
        return {"app": options.app, "name": options.name or options.app, "version": options.version, **said}
    digest = check_digest(options.model, options.model_digest)
    name = options.name or options.model.name
    place = {"path": str(options.model), "digest": digest}
    return {"app": options.app, "name": name, "version": options.version, **place, **said}


def _capture(options: argparse.Namespace) -> Capture | None:
    if options.capture_dir is None:
        return None
    model = options.name or options.model.name if options.model else options.name
    return open_capture(options, model, options.version)


def serve_one(options: argparse.Namespace, listener: socket.socket) -> int:
    """Load, say `ready`, answer until SIGTERM."""
    try:
        certificate = Certificate(options.tls_cert, options.tls_key) if options.tls_cert else None
        if certificate is not None:
            certificate.check()
        origins = read_origins(options.cors)
        application: Application = build(options)
        if options.token_file is None and options.host.strip("[]") not in LOOPBACK_NAMES:
            LOG.warning("no token is asked for: whoever reaches this machine may ask; --token-file names the tokens")
        allow_many()
        listen(listener)
    except TidemillError as exc:
        sys.stderr.write(f"error: {exc.message}\n" + (f"\nhint: {exc.hint}\n" if exc.hint else ""))
        return exc.exit_code
    log_lines()
    config = uvicorn.Config(
        Cors(application, origins) if origins else application,
        http=GatheringProtocol if options.app else PatientProtocol,
        ws="auto" if options.app else "none",  # models do not speak it, and what does takes a while to import
        proxy_headers=False,
        log_config=None,  # its words go where ours go, with the id of their request
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(drain_s(options.timeout)),
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    scheme = "https" if options.tls_cert else "http"
    server = AnnouncedServer(
        config,
        f"ready {scheme}://{written(options.host)}:{listener.getsockname()[1]}\n",
        options.beats,
        certificate,
        options.metrics,
        faster_later=options.faster_later,
    )
    with contextlib.suppress(SystemExit):  # uvicorn's own code for what could not start means a bug to us
        server.run(sockets=[listener])
    return 0 if server.started else 1
