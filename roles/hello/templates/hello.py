#!/usr/bin/python3
# {{ ansible_managed }}
"""Answers over HTTPS to clients that hold a certificate of the cluster."""

import http.server
import socket
import ssl
import sys

CREDENTIALS = "/etc/credentials/x509"


class Hello(http.server.BaseHTTPRequestHandler):
    """`/metrics` in Prometheus' text format; anything else is greeted."""

    requests = 0

    def do_GET(self):
        Hello.requests += 1
        if self.path == "/metrics":
            body = f"# TYPE hello_requests_total counter\nhello_requests_total {Hello.requests}\n"
        else:
            body = f"{{ hello_greeting }} {socket.gethostname()}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


class Server(http.server.ThreadingHTTPServer):
    """One line in the journal for a client that is refused, instead of a stack trace."""

    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]}", file=sys.stderr, flush=True)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{CREDENTIALS}/ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(f"{CREDENTIALS}/hello/server/cert.pem", f"{CREDENTIALS}/hello/server/private_key.pem")
server = Server(("", {{ hello_port }}), Hello)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
