#!/usr/bin/python3
# {{ ansible_managed }}
"""Answers over HTTPS to clients that hold a certificate of the cluster."""

import http.server
import socket
import ssl
import sys

CREDENTIALS = "/etc/credentials/x509"
# Services whose certificates are let in, as services.yml says; none: all of the cluster.
CLIENTS = {{ services.hello.clients | default([]) | to_json }}


class Hello(http.server.BaseHTTPRequestHandler):
    """`/metrics` in Prometheus' text format; anything else is greeted."""

    requests = 0

    def do_GET(self):
        Hello.requests += 1
        # CN=<service>@<host>
        (caller,) = (value for ((key, value),) in self.connection.getpeercert()["subject"] if key == "commonName")
        status = 403 if CLIENTS and caller.split("@")[0] not in CLIENTS else 200
        if status == 403:
            body = f"{caller} is not among the clients of hello: {', '.join(CLIENTS)}\n"
        elif self.path == "/metrics":
            body = f"# TYPE hello_requests_total counter\nhello_requests_total {Hello.requests}\n"
        else:
            body = f"{{ hello_greeting }} {socket.gethostname()}\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


class Server(http.server.ThreadingHTTPServer):
    """On all addresses; one line in the journal for a client that is refused, instead of a stack trace."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]}", file=sys.stderr, flush=True)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{CREDENTIALS}/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
# Refuses what was revoked. The lists are read once: the role restarts this when they change.
context.load_verify_locations(f"{CREDENTIALS}/crl.pem")
context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
context.load_cert_chain(f"{CREDENTIALS}/hello/server/cert.pem", f"{CREDENTIALS}/hello/server/private_key.pem")
server = Server(("", {{ hello_port }}), Hello)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
